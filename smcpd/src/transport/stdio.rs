//! The stdio transport: the client that started us, on stdin and stdout; nothing else is ever written on stdout.

use std::sync::Arc;

use crate::auth::{Caller, Grant};
use crate::protocol::{Service, lines};

/// Serves until stdin ends or the daemon is told to stop.
pub(crate) async fn serve(service: Arc<Service>) -> std::io::Result<()> {
    lines::serve(service, Grant::whole(Caller::Stdio), tokio::io::stdin(), tokio::io::stdout()).await
}
