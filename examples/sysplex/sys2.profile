; TCP/IP profile of the stack on SYS2: first backup of the DVIPA.
; It reserves other ports than SYS1, so its groups have other masks.

IPCONFIG SYSPLEXROUTING DYNAMICXCF 192.168.10.2 /24 1
         SOURCEVIPA TCPSTACKSOURCEVIPA 10.1.1.1

GLOBALCONFIG EXPLICITBINDPORTRANGE 61000 512

TCPCONFIG RESTRICTLOWPORTS
          EPHEMERALPORTS 1024 65535

; Batch network transfer keeps its own UDP ports.
UDPCONFIG EPHEMERALPORTS 10000 60000

vipadynamic                            ; case and abbreviations do not matter
  vipab 200 moveable immed 255.255.255.0 10.1.1.1
  vipadist sysplexp distm serverwlm 10.1.1.1 port 4035 destip all
  vipadist distm roundrobin timedaff 30 10.1.1.1 port 992 20-21
           destip 192.168.10.1 192.168.10.2 192.168.10.3
endvipadynamic

PORT
    20 TCP OMVS  NOAUTOLOG
    21 TCP FTPD1
    23 TCP TN3270
   992 TCP TN3270 SHAREPORT
  3000 TCP RESERVED                    ; a firewall rule points here
  4035 TCP RSED
  4036 TCP JMON
  5000 TCP DB2PDIST                    ; two jobs may share a line in the list
  5000 TCP DB2QDIST SHAREPORT
  5001 TCP DB2PDIST
   161 UDP SNMPD

PORTRANGE
   8108    4 TCP DBGMGR*
  30000  500 TCP MQ*
  33000   10 TCP RESERVED

BSDROUTINGPARMS TRUE
  OSA2A  1500 0 255.255.255.0 0
ENDBSDROUTINGPARMS
