//! The listening address of a server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::anyhow;
use clap::Args;
use tokio::net::TcpListener;

/// Heading of the options of the listening address.
pub(super) const HEADING: &str = "Network options";

/// Listening address and accepted host names.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = HEADING)]
pub(super) struct ListenArgs {
    /// Port to listen on; 0 selects a free port
    #[arg(short, long, default_value_t = 7400, value_name = "PORT")]
    port: u16,
    /// Address to listen on; everyone who can reach it can call actions
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    pub(super) bind: IpAddr,
    /// Host name to accept besides addresses and `localhost`, `*` for any; repeatable
    #[arg(long, value_name = "HOST")]
    pub(super) allow_host: Vec<String>,
}

impl ListenArgs {
    /// Opens the port and returns the listener with its actual address.
    ///
    /// # Errors
    /// Fails if the port is in use or not permitted.
    pub(super) async fn bind(&self) -> anyhow::Result<(TcpListener, SocketAddr)> {
        let address = SocketAddr::new(self.bind, self.port);
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let remedy = match error.kind() {
                std::io::ErrorKind::AddrInUse => "another server may be running; `--port 0` selects a free port",
                _ => "`--bind` and `--port` select another address",
            };
            anyhow!("cannot listen on {address}: {error}; {remedy}")
        })?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }
}
