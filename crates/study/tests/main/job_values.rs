//! Tensors of edits in a job: written to files of their own, read back, and checked.

use std::fs;

use burn::tensor::{Tensor, TensorData};
use stratigraph_core::{Edit, Hook};
use stratigraph_study::StudyError;
use stratigraph_study::job::{Job, Shard};
use stratigraph_surgery::{Intervention, Sweep};
use stratigraph_testing::device;

use crate::given::Given;
use crate::small::assert_close;

fn steer() -> Sweep {
    let vector: Vec<f32> = (0..32).map(|unit| (unit as f32).sin()).collect();
    Sweep::steer("steer", vector.as_slice(), 1.., 0.5)
}

/// Values of each of the seven windows.
fn patch() -> Intervention {
    let values: Vec<f32> = (0..7 * 12 * 32).map(|index| (index as f32 * 0.3).cos()).collect();
    let values = Tensor::<3>::from_data(TensorData::new(values, [7, 12, 32]), &device());
    Intervention::none(3).edit(Edit::patch(Hook::MlpOut.at(1), values).with_positions(4..)).with_name("patched")
}

#[test]
fn a_job_with_tensors_gives_what_a_study_gives() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let plan = given.plan_of(&[steer()]).with_intervention(patch()).unwrap();
    given.job(dir.path(), plan);
    assert_eq!(fs::read_dir(dir.path().join("values")).unwrap().count(), 2);
    let job = Job::open(dir.path()).unwrap();
    let done: usize = Shard::each(3).map(|shard| given.run(&job, shard)).sum();
    assert_eq!(done, job.n_steps());
    let merged = job.merge(&[]).unwrap().findings;
    let study = given.study(&[steer()]).intervention(patch()).run(&given.windows).unwrap();
    assert_close(&merged, &study);
    let kl = |findings: &stratigraph_study::Findings| {
        findings.interventions().iter().find(|it| it.name == "patched").unwrap().metrics["kl"].mean
    };
    assert!((kl(&merged) - kl(&study)).abs() < 1e-5 * kl(&study) && kl(&study) > 0.0);
}

#[test]
fn a_missing_or_damaged_tensor_is_an_error_that_names_its_file() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    given.job(dir.path(), given.plan_of(&[steer()]));
    let path = fs::read_dir(dir.path().join("values")).unwrap().next().unwrap().unwrap().path();
    let (name, whole) = (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    for damaged in [Vec::new(), whole[..whole.len() - 4].to_vec(), other] {
        fs::write(&path, damaged).unwrap();
        let error = Job::open(dir.path()).unwrap_err();
        assert!(matches!(error, StudyError::JobDamaged { .. }) && error.to_string().contains(&name), "{error}");
    }
    fs::remove_file(&path).unwrap();
    let missing = Job::open(dir.path()).unwrap_err();
    assert!(matches!(missing, StudyError::Io { .. }) && missing.to_string().contains(&name), "{missing}");
    fs::write(&path, whole).unwrap();
    assert!(Job::open(dir.path()).is_ok());
}
