vipadynamic vipadef moveable immed 255.255.255.0 10.99.1.1 vipadist define sysplexp optlocal 10.99.1.1 port 4035
destip all endvipadynamic ipconf dynamicxcf 10.99.2.1 255.255.255.0 1 sysplexr globalconf explicitbindportrange
5000 640 tcpconfig ephemeralports 1024 65535 portr 2000 100 tcp a$#@* noautol 3000 5 udp reserved port 4035 tcp
rsed delaya sharep bind 10.99.1.1 saf res nosmc
