systemd-sysusers smcp.conf >/dev/null 2>&1 || :
chgrp smcp /etc/smcp/smcpd.toml 2>/dev/null || :
if [ ! -e /var/lib/smcp ]; then
    install -d -m 0755 -o smcp -g smcp /var/lib/smcp || :
fi
# Linked once: what the operator takes out stays out.
if [ ! -e /var/lib/smcp/plugins ]; then
    install -d -m 0755 -o root -g root /var/lib/smcp/plugins || :
    ln -s /usr/share/smcp/plugins/demo_math /usr/share/smcp/plugins/demo_text /var/lib/smcp/plugins/ || :
fi
if [ -x /usr/bin/journalctl ]; then
    journalctl --update-catalog >/dev/null 2>&1 || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload >/dev/null 2>&1 || :
    if [ "$1" -eq 1 ]; then
        systemctl preset smcpd.socket smcpd-call.socket smcpd-http.socket smcpd.service >/dev/null 2>&1 || :
    fi
fi
