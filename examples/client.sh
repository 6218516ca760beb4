#!/bin/sh
# A request from a port that no other host has: client.sh DVIPA URL
# PORTPLEX_STACK names the agent's socket, if it is not /run/portplex/stack.sock.
set -eu
dvipa=$1 url=$2
port=$(portplex stack bind "$dvipa" --keep 60)
trap 'portplex stack release "$dvipa" "$port" >&2' EXIT
curl --silent --show-error --interface "$dvipa" --local-port "$port" "$url"
