//! `stratigraph serve`: this machine's devices for the program on other machines, which name them `remote:...`.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use burn::server::{IrohIdentity, IrohRelays, IrohTransport, RemoteServer, TokenAuthorizer, WebSocketTransport};
use stratigraph_study::DeviceName;

use crate::args::DeviceArgs;
use crate::output;

/// The arguments of `serve`.
#[derive(clap::Args)]
#[command(after_help = "Clients must present the token in STRATIGRAPH_TOKEN.\n\nExamples:\n  \
    stratigraph serve --device wgpu --listen 0.0.0.0:3000\n  \
    stratigraph serve --device wgpu --identity server.key")]
pub struct ServeArgs {
    #[command(flatten)]
    devices: DeviceArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// How clients reach the server.
#[derive(clap::Args)]
#[command(next_help_heading = "Network")]
struct NetworkArgs {
    /// Serve over WebSocket, unencrypted, at this address: for a trusted network
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000", conflicts_with = "identity")]
    listen: SocketAddr,
    /// Serve over iroh, encrypted, as the identity in this file, which is made where there is none
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The relays over which iroh is reached: public, disabled, or the URL of one
    #[arg(long, default_value = "public", requires = "identity")]
    relays: IrohRelays,
    /// The UDP port for iroh, for clients that dial it directly
    #[arg(long, requires = "identity")]
    port: Option<u16>,
}

/// Serves until it is stopped.
pub fn run(args: &ServeArgs) -> Result<()> {
    let token = std::env::var(DeviceName::TOKEN).unwrap_or_default();
    ensure!(
        !token.is_empty(),
        "{} is empty: set it to a secret that clients know, or anybody could use the server",
        DeviceName::TOKEN
    );
    let server = RemoteServer::new(args.devices.open()?).with_authorizer(TokenAuthorizer::new(token)?);
    if let Some(identity) = &args.network.identity {
        let transport = iroh(identity, &args.network)?;
        output::line(format_args!("serving {} as remote:{}", args.devices, transport.id()))?;
        return Ok(server.serve(transport)?);
    }
    let listen = args.network.listen;
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot listen at {listen}"))?;
    output::line(format_args!("serving {} as remote:ws://{}", args.devices, listener.local_addr()?))?;
    Ok(server.serve(WebSocketTransport::from_listener(listener))?)
}

fn iroh(identity: &Path, args: &NetworkArgs) -> Result<IrohTransport> {
    let cannot = || format!("cannot use the identity in {}", identity.display());
    let transport = IrohTransport::new(IrohIdentity::load_or_create(identity).with_context(cannot)?);
    let transport = transport.with_relays(args.relays.clone());
    Ok(match args.port {
        Some(port) => transport.with_port(port),
        None => transport,
    })
}
