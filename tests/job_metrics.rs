//! Metrics of jobs: records keep them by name, a plan names them, and records by position are refused.

mod common;

use std::fs;

use common::given::{EXPERIMENTS, Given, SMALL};
use stratigraph::Error;
use stratigraph::job::{Job, JobPlan, Shard};
use stratigraph::prelude::*;

#[test]
fn a_job_of_metrics_by_position_is_refused_with_the_way_out() {
    let (given, dir) = (Given::new("llama-gqa"), tempfile::tempdir().unwrap());
    let (_, merged) = given.done(dir.path(), &EXPERIMENTS, SMALL);
    let change = |file: &str, change: &dyn Fn(&str) -> String| {
        let path = dir.path().join(file);
        fs::write(&path, change(&fs::read_to_string(&path).unwrap())).unwrap();
    };
    change("job.json", &|text| text.replacen("\"format\": 2", "\"format\": 1", 1));
    let message = Job::open(dir.path()).unwrap_err().to_string();
    let way_out = "merge the job with the version that planned it, or plan it again";
    assert!(message.contains("metrics by position") && message.contains(way_out), "{message}");
    change("job.json", &|text| text.replacen("\"format\": 1", "\"format\": 2", 1));
    assert_eq!(Job::open(dir.path()).unwrap().merge(&[]).unwrap().findings, merged.findings);
    // A record as it was written before, among records by name.
    change("steps/000001.json", &|text| {
        let mut record: serde_json::Value = serde_json::from_str(text).unwrap();
        for plan in record["scores"].as_array_mut().unwrap() {
            let by_name = plan["scores"].as_object().unwrap();
            let by_position: Vec<_> =
                ["kl", "top1_agreement", "entropy_bits", "nll", "accuracy"].map(|name| by_name[name].clone()).into();
            plan["scores"] = serde_json::json!({ "metrics": by_position });
        }
        record.to_string()
    });
    let damaged = Job::open(dir.path()).unwrap().merge(&[]).unwrap_err();
    assert!(matches!(&damaged, Error::JobDamaged { path, .. } if path.ends_with("steps/000001.json")), "{damaged}");
}

#[test]
fn a_job_measures_the_metrics_that_its_plan_names() {
    let (given, dir) = (Given::new("llama-gqa"), tempfile::tempdir().unwrap());
    let names = ["js", "nll", "rank", "top5_overlap"];
    let metrics = names.map(str::to_owned).to_vec();
    let mut plan = JobPlan { metrics, ..given.plan(&EXPERIMENTS) };
    plan.step.windows = given.windows.n_sequences(); // one step, so that not even rounding differs from a study's
    let job = given.job(dir.path(), plan);
    given.run(&job, Shard::WHOLE);
    let merged = job.merge(&[]).unwrap();
    let study = Study::new(&given.model).experiments(EXPERIMENTS).metrics(Metrics::from_names(names).unwrap());
    assert_eq!(merged.findings, study.run(&given.windows).unwrap());
    assert!(merged.findings.values.keys().eq(["clean_nll", "clean_rank"]));
    let refused = |metrics: &[&str]| {
        let metrics = metrics.iter().map(|&name| name.to_owned()).collect();
        let plan = JobPlan { metrics, ..given.plan(&EXPERIMENTS) };
        Job::create(dir.path().join("other"), plan, given.windows.clone()).unwrap_err().to_string()
    };
    assert!(refused(&["nll", "perplexity"]).contains("unknown metric `perplexity`; known: kl, reverse_kl, js"));
    assert!(refused(&["nll", "nll"]).contains("has a metric `nll` already"));
    assert!(refused(&[]).contains("it measures no metric"));
}
