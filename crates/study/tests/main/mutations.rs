//! Damaged profiles and jobs: an error or a sound one each time, never a panic, a hang, or memory that no file of that size
//! could need.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;
use stratigraph_profile::{Profile, ProfileError};
use stratigraph_study::StudyError;
use stratigraph_study::job::Job;
use stratigraph_testing::{
    Watching, any_damage, any_json, fixture, largest_allocation, n_mutations, n_values, replace_somewhere,
};
use tempfile::TempDir;

use crate::given::{Given, sweeps};

#[global_allocator]
static ALLOCATOR: Watching = Watching;

/// Far more than any file here needs at once, and far less than one that lies asks for.
const MOST_BYTES: usize = 16 << 20;

/// A profile with every kind of part: that of the model in the repository, in the newest form.
static PROFILE: LazyLock<String> = LazyLock::new(|| Profile::read(fixture("tiny-profile.json")).unwrap().to_json());

/// A job that is done.
static JOB: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    Given::new().done(&dir.path().join("job"), &sweeps());
    dir
});

/// Reads a profile and does with it what the program does.
fn try_profile(json: &str) {
    let (result, largest): (Result<Profile, ProfileError>, usize) = largest_allocation(|| {
        let profile = Profile::from_json(json)?;
        profile.check()?;
        stratigraph_stages::segment(&profile);
        Profile::from_json(&profile.to_json())
    });
    assert!(largest < MOST_BYTES, "{largest} bytes at once: {:?}", result.err());
    if let Err(error) = result {
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }
}

/// Opens a job and does with it what the program does, short of running it.
fn try_job(path: &Path) {
    let (result, largest): (Result<(), StudyError>, usize) = largest_allocation(|| {
        let job = Job::open(path)?;
        job.status(&[])?;
        let _ = job.to_string();
        job.merge(&[]).map(|_| ())
    });
    assert!(largest < MOST_BYTES, "{largest} bytes at once: {result:?}");
    if let Err(error) = &result {
        assert!(!error.to_string().contains('\n'), "one line: {error}");
    }
}

/// A copy of the job whose file of this name has this content.
fn job_with(file: &str, content: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = JOB.path().join("job");
    for part in ["", "steps"] {
        fs::create_dir_all(dir.path().join(part)).unwrap();
        for entry in fs::read_dir(from.join(part)).unwrap().map(Result::unwrap) {
            if entry.path().is_file() {
                fs::copy(entry.path(), dir.path().join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    fs::write(dir.path().join(file), content).unwrap();
    dir
}

proptest! {
    #![proptest_config(ProptestConfig { cases: n_mutations(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_of_profiles(changes in prop::collection::vec(any_damage(), 1..3)) {
        let mut bytes = PROFILE.clone().into_bytes();
        changes.iter().for_each(|change| change.apply(&mut bytes, usize::MAX));
        try_profile(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn mutations_of_values_of_profiles(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 1..3),
    ) {
        let mut json: Value = serde_json::from_str(&PROFILE).unwrap();
        for (place, new) in changes {
            let n = n_values(&json);
            replace_somewhere(&mut json, place.index(n), new);
        }
        try_profile(&json.to_string());
    }

    #[test]
    fn mutations_of_jobs(
        file in prop::sample::select(vec!["job.json", "job.json", "steps/000001.json", "tokens.bin"]),
        changes in prop::collection::vec(any_damage(), 1..3),
    ) {
        let mut bytes = fs::read(JOB.path().join("job").join(file)).unwrap();
        changes.iter().for_each(|change| change.apply(&mut bytes, usize::MAX));
        try_job(job_with(file, &bytes).path());
    }

    #[test]
    fn mutations_of_values_of_jobs(
        file in prop::sample::select(vec!["job.json", "job.json", "steps/000001.json"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 1..3),
    ) {
        let mut json: Value = serde_json::from_slice(&fs::read(JOB.path().join("job").join(file)).unwrap()).unwrap();
        for (place, new) in changes {
            let n = n_values(&json);
            replace_somewhere(&mut json, place.index(n), new);
        }
        try_job(job_with(file, json.to_string().as_bytes()).path());
    }
}

#[test]
fn mutations_begin_with_files_that_are_sound() {
    try_profile(&PROFILE);
    assert!(Profile::from_json(&PROFILE).is_ok());
    let plan = fs::read(JOB.path().join("job/job.json")).unwrap();
    assert!(Job::open(job_with("job.json", &plan).path()).unwrap().merge(&[]).is_ok());
}

#[test]
fn mutations_of_the_number_of_layers_ask_for_no_memory() {
    let plan: Value = serde_json::from_slice(&fs::read(JOB.path().join("job/job.json")).unwrap()).unwrap();
    for n_layers in [1usize << 62, 1 << 32, 100_000, 20_000, 16_000, 1000, 4, 0] {
        let mut plan = plan.clone();
        plan["model"]["n_layers"] = n_layers.into();
        try_job(job_with("job.json", plan.to_string().as_bytes()).path());
        // And with axes of that many layers, which have no such number of points.
        for sweep in plan["sweeps"].as_array_mut().unwrap() {
            sweep["axes"][0]["n_layers"] = n_layers.into();
        }
        try_job(job_with("job.json", plan.to_string().as_bytes()).path());
    }
}
