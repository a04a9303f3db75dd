//! Measurements in a job: however small its steps are, they give what a study gives, and a damaged job says so.

use std::error::Error;
use std::fs;
use std::path::Path;

use approx::abs_diff_eq;
use serde_json::Value;
use stratigraph_core::{Edit, Hook, ResidualModel, TokenWindows};
use stratigraph_corpus::TextDecoder;
use stratigraph_models::Decoder;
use stratigraph_study::job::{Job, JobCorpus, JobModel, JobPart, JobPlan, Shard, ShardRun};
use stratigraph_study::measurements::{
    AttentionByDistance, KnockOutWords, NeuronSets, Steering, SteeringTarget, SteeringVector, SublayerEffects,
    TaskScoring, by_name,
};
use stratigraph_study::{Findings, Measurement, Study, StudyContext, StudyError, Work};
use stratigraph_surgery::{Sweep, SweepContext};
use stratigraph_tasks::Task;

use crate::generative::{Letters, scoring};
use crate::given::{SHA256, small_steps};
use crate::patching::{load, patching, random_pair, window};
use crate::tasks::encoded;

const SEED: u64 = 3;

/// A model and a corpus of five windows.
struct Given {
    model: Decoder,
    windows: TokenWindows,
}

impl Given {
    fn new() -> Self {
        let model = load("llama-gqa");
        let ids: Vec<u32> = (0..5 * 16).map(|i| (i * i * 7 % model.d_vocab()) as u32).collect();
        Self { windows: TokenWindows::new(&ids, 16).unwrap(), model }
    }

    fn plan(&self) -> JobPlan {
        let record = JobModel::new(&self.model, "llama-gqa", "nowhere", SHA256);
        let plan = JobPlan::new(&self.model, record, JobCorpus::new("text", &self.windows), &self.windows).unwrap();
        plan.with_seed(SEED).with_step_size(small_steps()).unwrap()
    }

    fn job(&self, path: &Path, measurements: &[Box<dyn Measurement>]) -> Job {
        let plan = measurements.iter().fold(self.plan(), |plan, measurement| {
            plan.with_measurement(&**measurement, &self.model, &self.windows).unwrap()
        });
        Job::create(path, plan, self.windows.clone()).unwrap()
    }

    fn run(&self, job: &Job, shard: Shard) -> usize {
        let run = ShardRun::new(job, "flex", &self.model, SHA256).unwrap().with_text(&Letters);
        run.with_shard(shard).run().unwrap()
    }

    fn study(&self, measurements: Vec<Box<dyn Measurement>>) -> Findings {
        let study = Study::new(&self.model).with_names("llama-gqa", "text").with_seed(SEED);
        measurements.into_iter().fold(study, Study::add_boxed).run(&self.windows).unwrap()
    }

    fn knock_out_words(&self) -> KnockOutWords {
        KnockOutWords::new(
            (0..self.model.d_vocab()).map(|id| [" one", "more", "on", " of", "!"][id % 5].to_owned()).collect(),
        )
    }

    fn steering(&self) -> Steering {
        let values: Vec<f32> = (0..self.model.d_model()).map(|unit| (unit as f32).sin()).collect();
        let prompts = [window(&[3, 1, 4]), window(&[1, 5, 9, 2]), window(&[6, 5, 3])];
        Steering::new(SteeringVector::new(Hook::ResidPre.at(1), values))
            .with_strengths([-0.5, 0.0, 0.25])
            .with_target(SteeringTarget::new(prompts, [7, 8]).against([9]))
    }

    /// A benchmark in two steps.
    fn mmlu(&self) -> TaskScoring {
        TaskScoring::new(encoded(Task::Mmlu, 3), [Sweep::delete(), Sweep::swap()]).with_items_at_once(2)
    }

    /// Everything that a job takes.
    fn measurements(&self) -> Vec<Box<dyn Measurement>> {
        let pairs = [random_pair(&self.model, 5, 1), random_pair(&self.model, 5, 2), random_pair(&self.model, 5, 3)];
        vec![
            Box::new(Sweep::delete()),
            by_name("skip_up_to_2").unwrap(),
            by_name("repeat_block_2_scaled_0.5").unwrap(),
            by_name("looped_parallel_2_times_2").unwrap(),
            by_name("remove_by_angular_distance").unwrap(),
            Box::new(SublayerEffects::default()),
            Box::new(NeuronSets::zero().with_random_sets(3)),
            Box::new(NeuronSets::mean().with_random_sets(2)),
            Box::new(self.knock_out_words()),
            Box::new(patching(&pairs)),
            Box::new(self.steering()),
            Box::new(self.mmlu()),
            Box::new(scoring(5).with_items_at_once(2)),
        ]
    }
}

/// All numbers and names that findings give, but for what records the run.
fn numbers(findings: &Findings) -> Value {
    let profile = findings.clone().into_profile_without_stages();
    let mut json = serde_json::to_value(&profile).unwrap();
    for part in ["device", "command", "versions"] {
        json.as_object_mut().unwrap().remove(part);
    }
    json
}

/// Checks that two trees of numbers differ by rounding at most.
#[track_caller]
fn assert_same(found: &Value, expected: &Value, path: &str) {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "{path}: {:?} and {:?}", a.keys(), b.keys());
            b.iter().for_each(|(name, b)| assert_same(&a[name], b, &format!("{path}/{name}")));
        }
        (Value::Array(a), Value::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{path}");
            a.iter().zip(b).enumerate().for_each(|(nth, (a, b))| assert_same(a, b, &format!("{path}/{nth}")));
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!(abs_diff_eq!(a, b, epsilon = 1e-5 * b.abs().max(1.0)), "{path}: {a} and {b}");
        }
        _ => assert_eq!(found, expected, "{path}"),
    }
}

#[test]
fn shards_of_small_steps_give_what_a_study_gives() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let expected = given.study(given.measurements());
    given.job(dir.path(), &given.measurements());
    let job = Job::open(dir.path()).unwrap(); // what another process knows is what the files hold
    let done: usize = Shard::each(4).map(|shard| given.run(&job, shard)).sum();
    assert_eq!(done, job.n_steps());
    let merged = job.merge(&[]).unwrap().findings;
    assert_same(&numbers(&merged), &numbers(&expected), "");
    for curve in ["self_repair_attention", "neuron_sets_difference_kl", "knock_out_words_kl", "steer_target"] {
        assert!(merged.curves().contains_key(curve), "{curve} among {:?}", merged.curves().keys());
    }
    assert!(merged.matrices().contains_key("patch_resid_pre_denoise"));
    assert!(merged.curves().contains_key("swap_gsm8k_flexible_extract_change"));
}

#[test]
fn each_measurement_alone_gives_what_a_study_gives() {
    let given = Given::new();
    for (nth, measurement) in given.measurements().into_iter().enumerate() {
        let (name, dir) = (measurement.name(), tempfile::tempdir().unwrap());
        let job = given.job(dir.path(), &[measurement]);
        given.run(&job, Shard::WHOLE);
        let study = given.study(vec![given.measurements().swap_remove(nth)]);
        assert_same(&numbers(&job.merge(&[]).unwrap().findings), &numbers(&study), &name);
    }
}

#[test]
fn copies_that_ran_elsewhere_merge_into_one() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let whole = given.job(&dir.path().join("whole"), &given.measurements());
    given.run(&whole, Shard::WHOLE);
    let copies: Vec<_> = Shard::each(2)
        .map(|shard| {
            let job = given.job(&dir.path().join(shard.to_string().replace('/', "of")), &given.measurements());
            given.run(&job, shard);
            job
        })
        .collect();
    let [first, second] = <[Job; 2]>::try_from(copies).unwrap();
    assert!(matches!(first.merge(&[]), Err(StudyError::JobUnfinished { .. })));
    // Bit for bit; as JSON, since cells of a map that no block has are NaN, which is not equal to itself.
    let findings = [first.merge(&[second]), whole.merge(&[])].map(|merged| merged.unwrap().findings);
    assert_eq!(numbers(&findings[0]), numbers(&findings[1]));
}

#[test]
fn damaged_pairs_and_records_are_errors_that_name_their_file() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let measurements: [Box<dyn Measurement>; 2] = [Box::new(given.knock_out_words()), Box::new(given.steering())];
    let job = given.job(dir.path(), &measurements);
    given.run(&job, Shard::WHOLE);
    let pairs = dir.path().join("pairs.bin");
    let whole = fs::read(&pairs).unwrap();
    let mut other = whole.clone();
    *other.last_mut().unwrap() ^= 1;
    for damaged in [Vec::new(), whole[..whole.len() - 4].to_vec(), other] {
        fs::write(&pairs, damaged).unwrap();
        let error = Job::open(dir.path()).unwrap_err();
        assert!(matches!(error, StudyError::JobDamaged { .. }) && error.to_string().contains("pairs.bin"), "{error}");
    }
    fs::write(&pairs, whole).unwrap();
    let job = Job::open(dir.path()).unwrap();
    // The last step measured the target of steering; a record of scores is not in its place.
    let steps = dir.path().join("steps");
    let (first, last) = (steps.join("000000.json"), steps.join(format!("{:06}.json", job.n_steps() - 1)));
    let record = fs::read_to_string(&last).unwrap();
    for damaged in [record[..record.len() / 2].to_owned(), fs::read_to_string(first).unwrap(), "{}".to_owned()] {
        fs::write(&last, &damaged).unwrap();
        let error = job.merge(&[]).unwrap_err();
        assert!(matches!(error, StudyError::JobDamaged { .. }), "{error}");
        assert!(error.to_string().contains(last.file_name().unwrap().to_str().unwrap()), "{error}");
    }
    fs::write(&last, record).unwrap();
    assert!(job.merge(&[]).is_ok());
}

#[test]
fn a_shard_that_writes_texts_asks_for_a_tokenizer() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let job = given.job(dir.path(), &[Box::new(scoring(3))]);
    assert!(job.plan().parts.iter().any(JobPart::takes_text));
    let error = ShardRun::new(&job, "flex", &given.model, SHA256).unwrap().run().unwrap_err().to_string();
    assert!(error.contains("cannot measure gsm8k") && error.contains("has no tokenizer"), "{error}");
    let other = ShardRun::new(&job, "flex", &given.model, SHA256).unwrap().with_text(&Capitals);
    let error = other.run().unwrap_err().to_string();
    assert!(error.contains("another text by the shard's tokenizer"), "{error}");
}

/// [`Letters`] in capitals.
struct Capitals;

impl TextDecoder for Capitals {
    fn decode_ids(&self, ids: &[u32]) -> Result<String, Box<dyn Error + Send + Sync>> {
        Ok(Letters.decode_ids(ids)?.to_uppercase())
    }
}

#[test]
fn a_sweep_that_has_the_name_of_another_is_refused() {
    let given = Given::new();
    let own = Sweep::each_layer("delete", |_, layer| Ok(Edit::zero(Hook::MlpOut.at(layer))));
    let scoring = TaskScoring::new(encoded(Task::Mmlu, 3), [own]);
    let error = given.plan().with_measurement(&scoring, &given.model, &given.windows).unwrap_err();
    assert!(matches!(error, StudyError::CannotShard { .. }), "{error}");
}

/// The deletions of layers, with a gigabyte of memory.
struct Large;

impl Measurement for Large {
    fn name(&self) -> String {
        "large".to_owned()
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> stratigraph_study::Result<Vec<Work<'a>>> {
        let (shape, seq_len) = (context.model.shape(), context.windows.seq_len());
        context.budget.windows_at_once(&shape, seq_len, 1 << 30)?;
        let points = Sweep::delete().points(&SweepContext::new(shape, seq_len))?;
        Ok(vec![Work::Sweep { name: self.name(), points }])
    }
}

#[test]
fn a_plan_takes_no_memory() {
    let given = Given::new();
    let plan = given.plan().with_measurement(&Large, &given.model, &given.windows).unwrap();
    assert_eq!(plan.sweeps.len(), 1);
}

#[test]
fn items_that_no_part_answers_are_an_error() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    given.job(dir.path(), &[Box::new(given.mmlu())]);
    let path = dir.path().join("job.json");
    let mut plan: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    plan["derived"][0]["task"]["n_items"] = 4.into();
    fs::write(&path, plan.to_string()).unwrap();
    let job = Job::open(dir.path()).unwrap();
    given.run(&job, Shard::WHOLE);
    let error = job.merge(&[]).unwrap_err().to_string();
    assert!(error.contains("its parts do not answer the 4 items of mmlu"), "{error}");
}

#[test]
fn what_needs_the_whole_corpus_is_refused() {
    let given = Given::new();
    let error =
        given.plan().with_measurement(&AttentionByDistance::default(), &given.model, &given.windows).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot shard attention: it needs the whole corpus in one process; run it in a study"
    );
    let plan = given.plan().with_measurement(&given.steering(), &given.model, &given.windows).unwrap();
    let twice = plan.with_measurement(&given.steering(), &given.model, &given.windows).unwrap_err();
    assert!(matches!(twice, StudyError::NameTaken { what: "measurement", .. }), "{twice}");
    let others = TokenWindows::new(&[1, 2, 3, 4], 4).unwrap();
    assert!(given.plan().with_measurement(&given.steering(), &given.model, &others).is_err());
}
