//! Devices that another process serves, over loopback: the same numbers, and a clear error when the server refuses or
//! dies.
//!
//! Servers and clients are this test binary again, running one of the ignored tests; their arguments are in the
//! environment.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use burn::server::{IrohIdentity, IrohRelays, IrohTransport, RemoteServer, TokenAuthorizer, WebSocketTransport};
use stratigraph_profile::Profile;
use stratigraph_study::job::{Job, JobCorpus, JobModel, JobPlan, Shard, ShardRun, StepSize};
use stratigraph_study::{DeviceName, Result, Study, guard_remote};
use stratigraph_surgery::Sweep;
use stratigraph_testing::device;

use crate::given::{Given, SHA256};
use crate::small::{Small, assert_within, windows};

const DEVICE: &str = "TEST_DEVICE";
const OUT: &str = "TEST_OUT";
const JOB: &str = "TEST_JOB";
const IDENTITY: &str = "TEST_IDENTITY";
const PORT: &str = "TEST_PORT";

/// A command that runs one ignored test of this binary.
fn role(test: &str, token: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", &format!("remote::{test}")]);
    command.env(DeviceName::TOKEN, token).env("RUST_LOG", "error").stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by the test that runs this one"))
}

/// A server of one device; it ends with the test.
struct Server {
    child: Child,
    /// Its name for clients.
    device: String,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
        let device = lines.filter_map(|line| Some(line.split_once("serving ")?.1.to_owned())).next();
        Self { device: device.expect("the server says its name"), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "a server for other tests"]
fn serve() {
    let token = environment(DeviceName::TOKEN);
    let server = RemoteServer::new(vec![device()]).with_authorizer(TokenAuthorizer::new(token).unwrap());
    if let Ok(identity) = std::env::var(IDENTITY) {
        let transport = IrohTransport::new(IrohIdentity::load_or_create(identity).unwrap());
        let port = environment(PORT).parse().unwrap();
        let transport = transport.with_relays(IrohRelays::Disabled).with_port(port);
        println!("serving remote:{}@127.0.0.1:{port}", transport.id());
        server.serve(transport).unwrap();
    } else {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        println!("serving remote:ws://{}", listener.local_addr().unwrap());
        server.serve(WebSocketTransport::from_listener(listener)).unwrap();
    }
}

/// Runs something on a device, and writes the error where there is one.
fn on_device(run: impl FnOnce(&Small) -> Result<()>) {
    let device: DeviceName = environment(DEVICE).parse().unwrap();
    if let Err(error) = guard_remote(|| run(&Small::new(&device.open()?))) {
        fs::write(environment(OUT), error.to_string()).unwrap();
    }
}

#[test]
#[ignore = "a client for other tests"]
fn study() {
    on_device(|model| {
        let findings = Study::new(model).add(Sweep::delete()).add(Sweep::swap()).run(&windows())?;
        fs::write(environment(OUT), findings.into_profile().to_json()).unwrap();
        Ok(())
    });
}

#[test]
#[ignore = "a client for other tests"]
fn shard() {
    on_device(|model| {
        let job = Job::open(environment(JOB))?;
        ShardRun::new(&job, "remote", model, SHA256)?.run().map(|_| ())
    });
}

/// The profile of a small study on a device, or its error.
fn studied(device: &str, token: &str) -> std::result::Result<Profile, String> {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let status = role("study", token).env(DEVICE, device).env(OUT, &out).status().unwrap();
    assert!(status.success(), "{status}");
    let text = fs::read_to_string(out).unwrap();
    Profile::from_json(&text).map_err(|_| text)
}

fn assert_same_numbers(device: &str) {
    let found = studied(device, "secret").unwrap_or_else(|error| panic!("{error}"));
    assert_within(&found, &studied("flex", "").unwrap(), 1e-5);
}

fn assert_refused(device: &str, token: &str, expected: &str) {
    let refused = studied(device, token).err().unwrap_or_else(|| panic!("{device} is used with `{token}`"));
    assert!(refused.contains(expected) && refused.lines().count() == 1, "{refused}");
}

#[test]
fn a_websocket_gives_the_same_numbers_and_refuses_a_wrong_token() {
    let server = Server::start(role("serve", "secret"));
    assert_same_numbers(&server.device);
    assert_refused(&server.device, "", "rejected the credential");
    assert_refused(&server.device, "guess", "rejected the credential");
    assert_refused(&format!("{}#1", server.device), "secret", "hosts only 1 device");
    assert_refused("remote:nobody", "secret", "is not an identity");
}

#[test]
fn iroh_gives_the_same_numbers_to_clients_with_the_identity_and_the_token() {
    let directory = tempfile::tempdir().unwrap();
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = role("serve", "secret");
    command.env(IDENTITY, directory.path().join("server.key")).env(PORT, port.to_string());
    let server = Server::start(command);
    assert_same_numbers(&server.device);
    assert_refused(&server.device, "guess", "rejected the credential");
}

/// A job of many short steps.
fn long_job(path: &Path) -> Job {
    let given = Given::new();
    let ids: Vec<u32> = (0..400 * 64).map(|i: u32| i.wrapping_mul(i) % 60).collect();
    let windows = stratigraph_core::TokenWindows::new(&ids, 64).unwrap();
    let model = JobModel::new(&given.model, "small", "nowhere", SHA256);
    let plan = JobPlan::new(&given.model, model, JobCorpus::new("text", &windows), &windows).unwrap();
    let plan = plan.with_sweep(&Sweep::delete()).unwrap().with_step_size(StepSize::new(1)).unwrap();
    Job::create(path, plan, windows).unwrap()
}

#[test]
fn a_server_that_dies_is_one_error_and_the_job_goes_on_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let job = long_job(&directory.path().join("job"));
    let mut server = Server::start(role("serve", "secret"));
    let out = directory.path().join("out");
    let mut command = role("shard", "secret");
    let mut client = command.env(DEVICE, &server.device).env(JOB, job.path()).env(OUT, &out).spawn().unwrap();
    let started = Instant::now();
    let done = || fs::read_dir(job.path().join("steps")).unwrap().count();
    while done() < 2 {
        assert!(started.elapsed() < Duration::from_secs(120), "no step in two minutes");
        std::thread::sleep(Duration::from_millis(1));
    }
    server.child.kill().unwrap();
    client.wait().unwrap();
    let message = fs::read_to_string(out).expect("the client has an error");
    assert!(message.starts_with("lost a remote device: "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    let before = job.status(&[]).unwrap().n_done();
    assert!((2..job.n_steps()).contains(&before), "{before} steps");
    assert_eq!(Given::new().run(&job, Shard::WHOLE), job.n_steps() - before);
    job.merge(&[]).unwrap();
}
