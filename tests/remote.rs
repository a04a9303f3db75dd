//! Devices that another process serves, over loopback: the same numbers, and a clear end when the server refuses or dies.
#![cfg(feature = "remote")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{example, fixture, path};
use stratigraph::DeviceName;
use stratigraph::stages::Profile;

const TOKEN: &str = DeviceName::TOKEN;

/// A server of one device; it ends with the test.
struct Server {
    child: Child,
    /// Under which name clients find it.
    device: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut command = example("serve");
        command.args(arguments).env(TOKEN, "secret").env("RUST_LOG", "error").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let device = line.trim().split(" as ").nth(1).unwrap_or_else(|| panic!("`{line}`")).to_owned();
        Self { child, device }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_token(command: &mut Command, token: &str) -> Output {
    command.env(TOKEN, token).output().unwrap()
}

/// The profile of a small study on a device.
fn study(device: &str, token: &str) -> Result<Profile, String> {
    let out = tempfile::tempdir().unwrap();
    let mut command = example("stages_of_inference");
    command.args(["--model", path(&fixture("llama-gqa")), "--sequences", "2", "--seq-len", "16", "--no-words"]);
    let output = with_token(command.args(["--device", device, "--out", path(out.path())]), token);
    if !output.status.success() {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    Ok(serde_json::from_slice(&fs::read(out.path().join("profile.json")).unwrap()).unwrap())
}

fn assert_same_numbers(device: &str) {
    let (found, expected) = (study(device, "secret").unwrap(), study("flex", "").unwrap());
    assert_eq!(found.device, device);
    assert_eq!(found.curves.keys().collect::<Vec<_>>(), expected.curves.keys().collect::<Vec<_>>());
    let mut worst: f64 = 0.0;
    for (name, curve) in &expected.curves {
        for (a, b) in found.curves[name].mean.iter().zip(&curve.mean) {
            let difference = (a - b).abs() / b.abs().max(1.0);
            assert!(difference < 1e-5, "{name} on {device}: {a} and {b}");
            worst = worst.max(difference);
        }
    }
    println!("the largest difference on {device}: {worst:e}");
}

#[test]
fn a_websocket_gives_the_same_numbers_and_refuses_a_wrong_token() {
    let server = Server::start(&["--listen", "127.0.0.1:0"]);
    assert_same_numbers(&server.device);
    for token in ["", "guess"] {
        let refused = study(&server.device, token).unwrap_err();
        assert!(refused.contains("rejected the credential"), "{refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
    let absent = study(&format!("{}#1", server.device), "secret").unwrap_err();
    assert!(absent.contains("hosts only 1 device"), "{absent}");
}

#[test]
fn iroh_gives_the_same_numbers_to_who_knows_the_identity_and_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("server.key");
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start(&["--identity", path(&key), "--relays", "disabled", "--port", &port.to_string()]);
    let device = format!("{}@127.0.0.1:{port}", server.device);
    assert_same_numbers(&device);
    let refused = study(&device, "guess").unwrap_err();
    assert!(refused.contains("rejected the credential"), "{refused}");
    assert_eq!(refused.lines().count(), 1, "{refused}");
}

#[test]
fn a_server_that_dies_is_one_error_and_the_sweep_goes_on_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let job = dir.path().join("job");
    let plan = ["plan", path(&job), "--sequences", "12", "--seq-len", "64", "--windows-per-step", "1"];
    assert!(example("sweep").args(plan).status().unwrap().success());
    let mut server = Server::start(&["--listen", "127.0.0.1:0"]);
    let mut command = example("sweep");
    command.args(["run", path(&job), "--device", &server.device]).env(TOKEN, "secret");
    let client = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    let done = || fs::read_dir(job.join("steps")).unwrap().count();
    while done() < 2 {
        assert!(started.elapsed() < Duration::from_secs(120), "no step in two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    server.child.kill().unwrap();
    let output = client.wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with("error: a remote device was lost"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!((2..12).contains(&done()), "{} steps", done());

    let output = example("sweep").args(["run", path(&job)]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(example("sweep").args(["merge", path(&job)]).output().unwrap().status.success());
}

#[test]
fn a_server_needs_a_token_and_a_place() {
    let serve = |arguments: &[&str], token: &str| {
        let output = with_token(example("serve").args(arguments), token);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    };
    assert!(serve(&[], "").contains("STRATIGRAPH_TOKEN is empty"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert!(serve(&["--listen", &address], "secret").contains("cannot listen at"));
    assert!(serve(&["--identity", path(&fixture("llama-gqa"))], "secret").contains("cannot use the identity"));
    let nobody = study("remote:nobody", "secret").unwrap_err();
    assert!(nobody.contains("is no identity"), "{nobody}");
}
