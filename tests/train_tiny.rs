//! The training example as a user runs it: what it writes, and a run that was stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stratigraph::prelude::*;

/// Trains a very small model on the sample text, many times over so that a part can be held out.
fn train(out: &Path, arguments: &[&str]) -> Output {
    let text = out.with_extension("txt");
    fs::write(&text, include_str!("../examples/data/sample.txt").repeat(12)).unwrap();
    let deps = std::env::current_exe().unwrap();
    let example: PathBuf = deps.parent().unwrap().parent().unwrap().join("examples/train_tiny");
    let shape = "--n-layers 2 --d-model 16 --n-heads 2 --d-vocab 300 --n-ctx 16 --batch 4 --warm-up 2 --every 4";
    let mut command = Command::new(example);
    command.arg(text).arg("--out").arg(out).args(shape.split(' ')).args(arguments);
    command.output().expect("examples are built along with tests")
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_it_writes_is_a_checkpoint_with_a_tokenizer() {
    let dir = tempfile::tempdir().unwrap();
    let said = succeeded(&train(dir.path(), &["--steps", "8"]));
    assert!(said.contains("held-out loss of a trigram model: "), "{said}");
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(checkpoint.config().n_layers, 2);
    let tokenizer = checkpoint.tokenizer().unwrap();
    assert_eq!(tokenizer.n_tokens(), 300);
    let ids = tokenizer.encode("The heron did not move.").unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), "The heron did not move.");
    let model = checkpoint.load(&Backend::Flex.device().unwrap()).unwrap();
    let windows = TokenWindows::new(&ids, 8).unwrap();
    assert!(Study::new(&model).run(&windows).is_ok());
    assert_eq!(fs::read_to_string(dir.path().join("loss.csv")).unwrap().lines().count(), 1 + 2);
}

#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let (straight, stopped) = (dir.path().join("straight"), dir.path().join("stopped"));
    succeeded(&train(&straight, &["--steps", "8"]));
    // The state after four of the same eight steps: what is left when the process dies behind the first checkpoint.
    succeeded(&train(&stopped, &["--steps", "8", "--stop-after", "4"]));
    assert!(!stopped.join("model.safetensors").exists());
    // A checkpoint that was being written then is not taken for one.
    fs::create_dir_all(stopped.join("checkpoints/partial")).unwrap();
    succeeded(&train(&stopped, &["--steps", "8"]));
    for file in ["model.safetensors", "loss.csv", "tokenizer.json"] {
        let read = |run: &Path| fs::read(run.join(file)).unwrap();
        assert!(read(&straight) == read(&stopped), "{file} differs");
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    succeeded(&train(dir.path(), &["--steps", "4"]));
    let cases = [
        (&["--steps", "8"][..], "other settings"),
        (&["--n-heads", "3"], "--d-model must be a multiple of --n-heads"),
        (&["--d-vocab", "100000"], "gives a vocabulary of"),
        (&["--warm-up", "9000"], "--warm-up must lie"),
        (&["--n-ctx", "100000"], "shorter than one window"),
        (&["absent.txt"], "cannot read absent.txt"),
    ];
    for (arguments, part) in cases {
        let output = train(dir.path(), arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}");
        assert!(message.contains(part) && message.lines().count() == 1, "{arguments:?}: {message}");
    }
}
