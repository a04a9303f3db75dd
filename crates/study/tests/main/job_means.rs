//! Means over the corpus of a job: measured once, kept in its directory, the same for all shards.

use std::fs;
use std::path::Path;

use stratigraph_core::{EditKind, MeanOver, Sublayer};
use stratigraph_study::StudyError;
use stratigraph_study::job::{Job, Shard, ShardRun};
use stratigraph_surgery::Sweep;

use crate::given::{Given, SHA256};
use crate::small::assert_close;

const FILE: &str = "means.safetensors";

fn means() -> [Sweep; 4] {
    let mean = |over| Sweep::sublayers(Sublayer::Mlp, EditKind::Mean(over));
    let attention = Sweep::sublayers(Sublayer::Attention, EditKind::Mean(MeanOver::All)).at_positions(2..);
    [mean(MeanOver::All), mean(MeanOver::Each), mean(MeanOver::from(1..)), attention]
}

fn shard(index: usize) -> Shard {
    Shard::each(2).nth(index).unwrap()
}

fn error(given: &Given, job: &Job) -> StudyError {
    ShardRun::new(job, "flex", &given.model, SHA256).unwrap().run().unwrap_err()
}

#[test]
fn the_parts_of_a_job_with_means_give_what_a_study_gives() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let job = given.job(dir.path(), given.plan_of(&means()));
    assert!(!dir.path().join(FILE).exists());
    given.run(&job, shard(1));
    let written = fs::read(dir.path().join(FILE)).unwrap();
    let again = Job::open(dir.path()).unwrap();
    given.run(&again, shard(0));
    assert!(fs::read(dir.path().join(FILE)).unwrap() == written, "the first to need them writes them, once");
    let merged = again.merge(&[]).unwrap();
    assert_close(&merged.findings, &given.studied(&means()));
    for name in ["mean_mlp_kl", "mean_each_mlp_kl", "mean_after_first_mlp_kl", "mean_attention_from_2_kl"] {
        assert!(merged.findings.curve(name).unwrap().mean.iter().all(|kl| *kl > 0.0), "{name}");
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".partial")), "{left:?}");
}

#[test]
fn a_shard_without_means_measures_none() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    given.done(dir.path(), &[Sweep::delete()]);
    assert!(!dir.path().join(FILE).exists());
}

/// Changes the bytes of a file.
type Damage = fn(&mut Vec<u8>);

/// A job of means with the first of two shards done, whose file of means a test may change.
fn half_done(given: &Given, dir: &Path) -> Job {
    let job = given.job(dir, given.plan_of(&means()));
    given.run(&job, shard(0));
    job
}

#[test]
fn a_damaged_file_of_means_is_an_error_that_names_it() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let job = half_done(&given, dir.path());
    let path = dir.path().join(FILE);
    let whole = fs::read(&path).unwrap();
    let damages: [Damage; 4] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| *bytes.last_mut().unwrap() ^= 1,
        |bytes| {
            let at = bytes.windows(12).position(|part| part == b"hook_mlp_out").unwrap();
            bytes[at + 5..at + 8].copy_from_slice(b"mid");
        },
    ];
    for damage in damages {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let error = error(&given, &job);
        assert!(matches!(error, StudyError::JobDamaged { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(FILE) && text.ends_with("delete it, and run the shard again"), "{text}");
    }
    fs::remove_file(&path).unwrap();
    given.run(&job, Shard::WHOLE);
    assert_close(&job.merge(&[]).unwrap().findings, &given.studied(&means()));
}

#[test]
fn means_of_another_job_are_refused() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let job = half_done(&given, &dir.path().join("job"));
    let other = given.job(&dir.path().join("other"), given.plan_of(&means()[..1]));
    given.run(&other, Shard::WHOLE);
    fs::copy(other.path().join(FILE), job.path().join(FILE)).unwrap();
    let error = error(&given, &job);
    assert!(matches!(error, StudyError::OtherJob { what: "plan", .. }), "{error}");
    assert!(error.to_string().contains(FILE), "{error}");
}
