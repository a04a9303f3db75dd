//! What the tests of the program share: how it is run, and checks of what it says.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

pub use stratigraph_testing::{fixture, repository, skipped};

/// The program, in the repository and without a network.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stratigraph"));
    command.current_dir(repository()).env("RUST_BACKTRACE", "1").env("HF_HUB_OFFLINE", "1");
    command
}

/// Runs the program.
pub fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    program().args(arguments).output().expect("the program is built along with its tests")
}

/// Runs the program, which must succeed, and returns what it prints.
#[track_caller]
pub fn succeeds<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Runs the program, which must fail with one line of error that has this part.
#[track_caller]
pub fn fails<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, part: &str) {
    let output = run(arguments);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.starts_with("error: ") && message.contains(part), "`{part}` is not in: {message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}

/// Runs the program, which must refuse its arguments with a message that has this part.
#[track_caller]
pub fn is_misused<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, part: &str) {
    let output = run(arguments);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.starts_with("error: ") && message.contains(part), "`{part}` is not in: {message}");
}

/// A path as an argument of a command.
pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What a program printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
