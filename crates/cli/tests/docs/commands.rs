//! The commands of the documentation run as a reader would run them: each page in a directory of its own, from top to bottom.
//!
//! A block of `sh` may say behind the language what its commands need: `sh,download`. Those blocks are not run, and those that
//! need a feature of the build only where it is there. `crates/cli/src/docs.rs` checks the options of every command line.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use stratigraph_testing::{DocBlock, DocCommand, DocPage, doc_pages, repository, skipped};

/// Marks of blocks that are not run, and why.
const NOT_RUN: [(&str, &str); 5] = [
    ("download", "needs weights or a text that are not in the repository"),
    ("gpu", "needs a GPU"),
    ("machines", "needs a second machine or a cluster"),
    ("minutes", "takes minutes"),
    ("yours", "names the reader's own files"),
];

/// Marks of blocks that need a feature of the build, and whether it is there.
const FEATURES: [(&str, bool); 4] = [
    ("fit", cfg!(feature = "fit")),
    ("parquet", cfg!(feature = "parquet")),
    ("remote", cfg!(feature = "remote")),
    ("hub", cfg!(feature = "hub")),
];

/// What a command runs on: the repository's files by their usual paths, in a directory that takes what is written.
fn workplace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["docs", "examples", "models", "scripts", "tests"] {
        std::os::unix::fs::symlink(repository().join(name), dir.path().join(name)).unwrap();
    }
    dir
}

/// Why a block is not run.
fn reason(block: &DocBlock) -> Option<String> {
    let why = |mark: &str| {
        if let Some((_, why)) = NOT_RUN.iter().find(|(name, _)| *name == mark) {
            return Some((*why).to_owned());
        }
        let (_, is_built) = FEATURES.iter().find(|(name, _)| *name == mark)?;
        (!is_built).then(|| format!("needs the feature {mark}"))
    };
    block.marks().find_map(why)
}

/// Runs a line in a shell that finds the program under its name.
fn run_line(command: &DocCommand, dir: &Path) {
    let program = Path::new(env!("CARGO_BIN_EXE_stratigraph")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let line = match command.line.split_once("-p stratigraph-cli -- ") {
        Some((_, arguments)) => format!("stratigraph {arguments}"),
        None => command.line.clone(),
    };
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(dir).env("PATH", format!("{}:{path}", program.display()));
    let started = Instant::now();
    let output = shell.env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert!(output.status.success(), "{}: {line}\n{}", command.place, String::from_utf8_lossy(&output.stderr));
    println!("{}: {line} ({:.1} s)", command.place, started.elapsed().as_secs_f64());
}

/// Runs what a page has; returns how many commands were run.
fn run_page(page: &DocPage) -> usize {
    let mut commands = page.commands();
    commands.dedup_by(|a, b| a.place == b.place); // a line may run the program twice
    let (dir, mut n) = (workplace(), 0);
    for command in &commands {
        let Some(block) = &command.block else { continue };
        match reason(block) {
            Some(reason) => skipped(&format!("{}: {} ({reason})", command.place, command.line)),
            None => {
                run_line(command, dir.path());
                n += 1;
            }
        }
    }
    n
}

#[test]
fn commands_of_the_documentation_run() {
    let n: usize = doc_pages().iter().map(run_page).sum();
    assert!(n >= 15, "only {n} commands were run");
}

#[test]
fn marks_of_blocks_are_known_and_no_command_is_outside_a_block() {
    for page in doc_pages() {
        for block in page.code().0.iter().filter(|block| block.language() == "sh") {
            for mark in block.marks() {
                let is_known =
                    NOT_RUN.iter().any(|(name, _)| *name == mark) || FEATURES.iter().any(|(name, _)| *name == mark);
                assert!(is_known, "{}:{}: nobody knows the mark `{mark}`", page.path, block.line);
            }
        }
        for (index, line) in page.text.lines().enumerate() {
            assert!(
                !line.starts_with("    stratigraph "),
                "{}:{}: put commands between fences, ```sh, so that a test runs them",
                page.path,
                index + 1
            );
        }
    }
}
