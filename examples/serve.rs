//! Serves this machine's devices to the other examples on other machines: `--device remote:...` there.

mod common;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use burn::server::{IrohIdentity, IrohRelays, IrohTransport, RemoteServer, TokenAuthorizer, WebSocketTransport};
use clap::Parser;
use stratigraph::DeviceName;

#[derive(Parser)]
#[command(about = "Serves devices of this machine. Clients must present the token that STRATIGRAPH_TOKEN holds")]
struct Args {
    #[command(flatten)]
    devices: common::Devices,
    /// Serve over WebSocket, unencrypted, at this address: for a trusted network. 0.0.0.0:3000 is every interface
    #[arg(long, default_value = "127.0.0.1:3000", conflicts_with = "identity")]
    listen: SocketAddr,
    /// Serve over iroh, encrypted, as the identity in this file, which is made when it is not there
    #[arg(long)]
    identity: Option<PathBuf>,
    /// The relays over which iroh is reached: public, disabled, or a relay's URL
    #[arg(long, default_value = "public", requires = "identity")]
    relays: IrohRelays,
    /// The UDP port for iroh, for clients that dial it directly
    #[arg(long, requires = "identity")]
    port: Option<u16>,
}

fn main() -> ExitCode {
    common::exit(|| run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let token = std::env::var(DeviceName::TOKEN).unwrap_or_default();
    ensure!(!token.is_empty(), "{} is empty: whoever reaches the server could use it", DeviceName::TOKEN);
    let server = RemoteServer::new(args.devices.open()?).with_authorizer(TokenAuthorizer::new(token)?);
    let Some(identity) = &args.identity else {
        let listener = TcpListener::bind(args.listen).with_context(|| format!("cannot listen at {}", args.listen))?;
        println!("serving {} as remote:ws://{}", args.devices, listener.local_addr()?);
        return Ok(server.serve(WebSocketTransport::from_listener(listener))?);
    };
    let read = || format!("cannot use the identity in {}", identity.display());
    let transport = IrohTransport::new(IrohIdentity::load_or_create(identity).with_context(read)?);
    let transport = transport.with_relays(args.relays.clone());
    println!("serving {} as remote:{}", args.devices, transport.id());
    let transport = match args.port {
        Some(port) => transport.with_port(port),
        None => transport,
    };
    Ok(server.serve(transport)?)
}
