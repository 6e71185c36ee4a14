if [ "$1" -eq 0 ] && [ -d /run/systemd/system ]; then
    # The sockets first: a client could start the service again.
    systemctl --no-reload disable --now smcp-promptyoself.timer smcpd.socket smcpd-call.socket smcpd-http.socket smcpd.service \
        >/dev/null 2>&1 || :
fi
