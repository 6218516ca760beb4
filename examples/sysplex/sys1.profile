; TCP/IP profile of the stack on SYS1: it owns the DVIPA and distributes its connections.
;
; Three systems share 10.1.1.1. Clients reach the RSE daemon on port 4035; the daemon tells them to
; connect once more, to a port that a server thread on the same system has just bound. That port
; must lead to one system only, which is what SYSPLEXPORTS is for.

IPCONFIG
  DATAGRAMFWD
  SYSPLEXROUTING                       ; WLM weights and health data
  DYNAMICXCF 192.168.10.1 255.255.255.0 1
  SOURCEVIPA
  TCPSTACKSOURCEVIPA 10.1.1.1          ; connect() without bind() leaves as the DVIPA

GLOBALCONFIG
  TCPIPSTATISTICS
  SYSPLEXMONITOR RECOVERY DELAYJOIN TIMERSECS 60
  EXPLICITBINDPORTRANGE 61000 512      ; bind(ANY, 0) everywhere in the sysplex

TCPCONFIG
  RESTRICTLOWPORTS
  EPHEMERALPORTS 1024 65535
  TIMEWAITINTERVAL 60

UDPCONFIG
  RESTRICTLOWPORTS
  EPHEMERALPORTS 10000 65535

INTERFACE OSA1A DEFINE IPAQENET
  PORTNAME OSAPORT1
  IPADDR 10.1.2.11/24
  VLANID 12

BEGINROUTES
  ROUTE 10.1.2.0/24   =          OSA1A MTU 1492
  ROUTE DEFAULT       10.1.2.254 OSA1A MTU 1492
ENDROUTES

VIPADYNAMIC
  VIPADEFINE MOVEABLE IMMEDIATE 255.255.255.0 10.1.1.1
  ; SYSPLEXPORTS counts only on the first VIPADISTRIBUTE of a DVIPA.
  VIPADISTRIBUTE DEFINE SYSPLEXPORTS DISTMETHOD BASEWLM
                 10.1.1.1 PORT 4035    ; RSE daemon
                 DESTIP ALL
  VIPADISTRIBUTE DEFINE DISTMETHOD ROUNDROBIN TIMEDAFFINITY 30
                 10.1.1.1 PORT 992 20-21
                 DESTIP 192.168.10.1 192.168.10.2 192.168.10.3
ENDVIPADYNAMIC

AUTOLOG 5
  FTPD    JOBNAME FTPD1
  RSED
ENDAUTOLOG

PORT
    20 TCP OMVS        NOAUTOLOG       ; FTP data
    21 TCP FTPD1                       ; FTP control
    23 TCP TN3270
   992 TCP TN3270      SHAREPORT
  4035 TCP RSED                        ; RSE daemon, on every system
  4036 TCP JMON                        ; job monitor
  8080 TCP WEBSRV1
  8443 TCP WEBSRV1
   161 UDP SNMPD
   514 UDP OMVS

PORTRANGE
   8108    4 TCP DBGMGR*               ; debug manager
  20000  200 TCP CICSA*
  50000  100 TCP AUTHPORT              ; passive FTP
  12000 1024 UDP EE

START OSA1A
