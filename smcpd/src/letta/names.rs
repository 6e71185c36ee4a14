//! Which names of variables no agent may set.
//!
//! An agent's variables are set by whoever may edit the agent, the agent's own model perhaps. They are values for a plugin
//! to read; none of them may choose what program runs, what it loads, where its traffic goes, or speak for the daemon.

/// What each name of a kind begins with.
const PREFIXES: [&str; 13] = [
    "LD_",
    "PYTHON",
    "SMCP_",
    "BASH_",
    "DYLD_",
    "GIT_CONFIG",
    "GIT_SSH",
    "GLIBC_",
    "LISTEN_",
    "MALLOC_",
    "PERL5",
    "RUBY",
    "WATCHDOG_",
];

/// The daemon's own, what programs and shells read when they start, and where requests are sent.
const NAMES: [&str; 61] = [
    "MCP_API_KEY",
    "MCP_API_KEYS",
    "LETTA_API_KEY",
    "LETTA_SERVER_PASSWORD",
    "CREDENTIALS_DIRECTORY",
    "NOTIFY_SOCKET",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "SYSTEMD_EXEC_PID",
    "TRACEPARENT",
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PWD",
    "TMPDIR",
    "TEMP",
    "TMP",
    "ENV",
    "IFS",
    "CDPATH",
    "GLOBIGNORE",
    "PS4",
    "PROMPT_COMMAND",
    "SHELLOPTS",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
    "GCONV_PATH",
    "GETCONF_DIR",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "LOCPATH",
    "NLSPATH",
    "RES_OPTIONS",
    "RESOLV_HOST_CONF",
    "TZDIR",
    "TERMINFO",
    "VIRTUAL_ENV",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_EXTRA_CA_CERTS",
    "PERLLIB",
    "CLASSPATH",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "GIT_ASKPASS",
    "GIT_DIR",
    "GIT_EXEC_PATH",
    "GIT_EXTERNAL_DIFF",
    "GIT_PROXY_COMMAND",
    "SSH_ASKPASS",
    "SSH_AUTH_SOCK",
    "OPENSSL_CONF",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// Read in either case by most programs.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"];

/// Returns whether this name is the daemon's, or would change how a program runs.
pub(crate) fn is_reserved(name: &str) -> bool {
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.starts_with("XDG_")
        || PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name))
}

/// Returns whether a shell would take this as a variable's name.
pub(super) fn is_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= 128
        && name.bytes().all(is_letter)
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_take_a_program_over_is_reserved_and_a_token_is_not() {
        for name in [
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "LD_AUDIT",
            "PATH",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PYTHON_GIL",
            "SMCP_AGENT_ID",
            "SMCP_INPUT",
            "MCP_API_KEY",
            "LETTA_SERVER_PASSWORD",
            "LETTA_API_KEY",
            "NOTIFY_SOCKET",
            "BASH_ENV",
            "ENV",
            "HOME",
            "NODE_OPTIONS",
            "GLIBC_TUNABLES",
            "GIT_SSH_COMMAND",
            "GIT_CONFIG_COUNT",
            "https_proxy",
            "HTTPS_PROXY",
            "XDG_CONFIG_HOME",
            "SSL_CERT_FILE",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in [
            "TOKEN",
            "GITHUB_TOKEN",
            "GIT_TOKEN",
            "OPENAI_API_KEY",
            "LETTA_BASE_URL",
            "TZ",
            "LANG",
            "path",
            "_X",
            "MY_PATH",
        ] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn a_name_is_what_a_shell_takes() {
        for name in ["A", "_", "a1_B"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1A", "A-B", "A B", "A=B", "A\0", "A\n", "Ä", "BASH_FUNC_x%%", &"A".repeat(129)] {
            assert!(!is_name(name), "{name}");
        }
    }
}
