if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
    # An upgrade restarts the service once. The sockets stay open, so that no client is refused.
    if [ "$1" -ge 1 ]; then
        systemctl try-restart smcpd.service >/dev/null 2>&1 || :
    fi
fi
if [ "$1" -eq 0 ]; then
    # The package's own links lead nowhere now. The operator's stay, and so does the state of plugins.
    find /var/lib/smcp/plugins -maxdepth 1 -type l -lname '/usr/share/smcp/plugins/*' -delete 2>/dev/null || :
    rm -rf /var/cache/smcp
fi
