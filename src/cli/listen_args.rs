//! Where a server listens.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use clap::Args;
use tokio::net::TcpListener;

/// Where a server listens, and by which names it may be asked.
#[derive(Clone, Debug, Args)]
pub(super) struct Listen {
    /// Port to listen on; 0 takes a free one.
    #[arg(short, long, default_value_t = 7400)]
    port: u16,
    /// Address to listen on. Anyone who can reach it can call the actions.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(super) bind: IpAddr,
    /// A name by which this server may be asked, beside its addresses; `*` for any. May be repeated.
    #[arg(long, value_name = "NAME")]
    pub(super) allow_host: Vec<String>,
}

impl Listen {
    /// Listens; gives the address with the port that was taken.
    pub(super) async fn start(&self) -> anyhow::Result<(TcpListener, SocketAddr)> {
        let address = SocketAddr::new(self.bind, self.port);
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; is another one running? `--port 0` takes a free port")
        })?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }
}
