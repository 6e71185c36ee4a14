//! Asks for a secret on the terminal.

use std::io::IsTerminal;

use crate::exit::{Exit, Failure};

/// Asks without showing what is typed; stdin and stdout may be anything else meanwhile.
pub(crate) fn secret(question: &str) -> Result<String, Failure> {
    let no_terminal = || {
        Failure::new(Exit::Usage, "there is no terminal to ask for a secret on")
            .hint("read it from a file instead: `key=@FILE`, or --key-file")
    };
    if !std::fs::File::open("/dev/tty").is_ok_and(|terminal| terminal.is_terminal()) {
        return Err(no_terminal());
    }
    rpassword::prompt_password(question).map_err(|_| no_terminal())
}
