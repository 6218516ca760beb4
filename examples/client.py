"""A connection from a port that no other host has: client.py DVIPA HOST PORT [SOCKET]"""
import json, socket, sys

dvipa, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
agent = socket.socket(socket.AF_UNIX)
agent.connect(sys.argv[4] if len(sys.argv) > 4 else "/run/portplex/stack.sock")
answers = agent.makefile("rw")
print(json.dumps({"verb": "connect", "dvipa": dvipa, "destination": f"{host}:{port}"}), file=answers, flush=True)
answer = json.loads(answers.readline())
if not answer["ok"]:
    sys.exit(f"no port: {answer['message']}")
connection = socket.socket()
connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # few ports left are shared
connection.bind((answer["source"], answer["port"]))
connection.connect((host, port))
print(f"connected from {answer['source']}:{answer['port']}, grant {answer['grant']}")
