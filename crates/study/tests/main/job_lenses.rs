//! Lenses in a job: what they read is what they read in a study, and a lens that is not the plan's is refused.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Distribution, Tensor};
use serde_json::{Value, json};
use stratigraph_core::{ResidualModel, TokenWindows};
use stratigraph_models::Decoder;
use stratigraph_probes::lens::{FittedLens, FixedScaleLens, Lens, LensKind, LensReading, LensRecord, LinearMap};
use stratigraph_study::job::{Job, JobCorpus, JobModel, JobPlan, Shard, ShardRun};
use stratigraph_study::measurements::{LensCurves, LogitLens};
use stratigraph_study::{Findings, Measurement, Study, StudyContext, StudyError, Work};
use stratigraph_surgery::{LayerPlan, Sweep, SweepContext};
use stratigraph_testing::device;

use crate::given::{SHA256, small_steps};
use crate::patching::load;

fn windows(model: &Decoder) -> TokenWindows {
    let ids: Vec<u32> = (0..5 * 16).map(|i| (i * i * 7 % model.d_vocab()) as u32).collect();
    TokenWindows::new(&ids, 16).unwrap()
}

/// A lens with a map before layers 1 and 2, none before layer 0.
fn lens(model: &Decoder, kind: LensKind) -> Arc<dyn Lens> {
    let width = model.d_model();
    let map = || {
        let noise = Tensor::<2>::random([width, width], Distribution::Normal(0.0, 0.1), &device());
        LinearMap::new(Tensor::eye(width, &device()) + noise)
    };
    let record = LensRecord::of_windows(9, 16).with_model("llama-gqa", SHA256);
    Arc::new(FittedLens::new(kind, [None, Some(map()), Some(map())]).with_record(record))
}

/// Two lenses, one of them under interventions too, and sweeps that share runs with them.
fn measurements(lenses: &[Arc<dyn Lens>; 2]) -> Vec<Box<dyn Measurement>> {
    let affine = || LensCurves::shared(lenses[0].clone());
    vec![
        Box::new(Sweep::delete()),
        Box::new(LogitLens),
        Box::new(affine()),
        Box::new(affine().under(LayerPlan::full(3).delete(1).unwrap())),
        Box::new(LensCurves::shared(lenses[1].clone())),
        Box::new(LensCurves::new(FixedScaleLens)),
    ]
}

fn plan(model: &Decoder, windows: &TokenWindows) -> JobPlan {
    let record = JobModel::new(model, "llama-gqa", "nowhere", SHA256);
    let plan = JobPlan::new(model, record, JobCorpus::new("text", windows), windows).unwrap();
    plan.with_step_size(small_steps()).unwrap()
}

fn job(path: &Path, model: &Decoder, lenses: &[Arc<dyn Lens>; 2]) -> Job {
    let windows = windows(model);
    let mut plan = plan(model, &windows);
    for measurement in measurements(lenses) {
        plan = plan.with_measurement(&*measurement, model, &windows).unwrap();
    }
    Job::create(path, plan, windows).unwrap();
    Job::open(path).unwrap() // what another process knows is what the files hold
}

fn run(job: &Job, model: &Decoder, shard: Shard) -> stratigraph_study::Result<usize> {
    ShardRun::new(job, "flex", model, SHA256).unwrap().with_shard(shard).run()
}

fn both(model: &Decoder) -> [Arc<dyn Lens>; 2] {
    [lens(model, LensKind::Affine), lens(model, LensKind::Jacobian)]
}

#[test]
fn lenses_of_a_job_read_what_those_of_a_study_read() {
    let (model, dir) = (load("llama-gqa"), tempfile::tempdir().unwrap());
    let lenses = both(&model);
    let job = job(dir.path(), &model, &lenses);
    assert_eq!(fs::read_dir(dir.path().join("lenses")).unwrap().count(), 2, "one with numbers has a file");
    let done: usize = Shard::each(3).map(|shard| run(&job, &model, shard).unwrap()).sum();
    assert_eq!(done, job.n_steps());
    let merged = job.merge(&[]).unwrap().findings;
    let study = Study::new(&model).with_names("llama-gqa", "text");
    let study = measurements(&lenses).into_iter().fold(study, Study::add_boxed).run(&windows(&model)).unwrap();
    assert!(merged.curves().keys().eq(study.curves().keys()), "{:?}", merged.curves().keys());
    for (name, expected) in study.curves() {
        let found = &merged.curves()[name];
        assert_eq!((&found.axis, &found.definition), (&expected.axis, &expected.definition), "{name}");
        for (point, (a, b)) in found.mean.iter().zip(&expected.mean).enumerate() {
            let is_near = (a - b).abs() < 1e-5 * b.abs().max(1.0) || a.is_nan() && b.is_nan();
            assert!(is_near, "{name} at {point}: {a} and {b}");
        }
    }
    let kl = |findings: &Findings, curve: &str| findings.curve(curve).unwrap().mean.clone();
    assert!(kl(&merged, "affine_lens_kl")[0].is_nan() && kl(&merged, "affine_lens_kl")[3] == 0.0);
    assert_ne!(kl(&merged, "affine_lens_kl")[1], kl(&merged, "lens_kl")[1], "it reads by its maps");
    assert_ne!(kl(&merged, "fixed_scale_lens_kl")[1], kl(&merged, "lens_kl")[1]);
    assert!(merged.curves().contains_key("affine_lens_under_0-2_kl"));
}

#[test]
fn a_lens_that_is_not_the_plans_is_refused_before_a_step_runs() {
    let (model, dir) = (load("llama-gqa"), tempfile::tempdir().unwrap());
    let job = job(dir.path(), &model, &both(&model));
    let path = dir.path().join("lenses/affine_lens.safetensors");
    let whole = fs::read(&path).unwrap();
    let other = lens(&model, LensKind::Affine).as_fitted().unwrap().to_safetensors();
    for changed in [other, whole[..whole.len() - 4].to_vec(), Vec::new()] {
        fs::write(&path, changed).unwrap();
        let error = run(&job, &model, Shard::WHOLE).unwrap_err();
        assert!(matches!(error, StudyError::JobDamaged { .. }), "{error}");
        assert!(error.to_string().contains("it is not the lens of the plan"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(run(&job, &model, Shard::WHOLE), Err(StudyError::Io { .. })));
    assert_eq!(fs::read_dir(dir.path().join("steps")).unwrap().count(), 0);
    fs::write(&path, whole).unwrap();
    assert!(run(&job, &model, Shard::WHOLE).is_ok());
    // In a plan a lens has the name of a file and a position for each point.
    let plan = dir.path().join("job.json");
    let json = fs::read_to_string(&plan).unwrap();
    for (from, to, part) in [
        (
            "\"name\": \"jacobian_lens\",\n        \"sha256\"",
            "\"name\": \"../up\",\n        \"sha256\"",
            "no name of a file",
        ),
        ("\"unread\": [\n          0", "\"unread\": [\n          -1", "invalid value"),
    ] {
        assert!(json.contains(from), "{json}");
        fs::write(&plan, json.replace(from, to)).unwrap();
        let error = Job::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

/// A lens of a user's own.
struct Half;

impl Lens for Half {
    fn name(&self) -> &str {
        "half_lens"
    }

    fn stream(&self, _position: usize, rows: Tensor<2>) -> stratigraph_probes::Result<Tensor<2>> {
        Ok(rows * 0.5)
    }
}

/// The points of the logit lens, the first two of them read by a lens each.
struct Two([Arc<dyn Lens>; 2]);

impl Measurement for Two {
    fn name(&self) -> String {
        "two".to_owned()
    }

    fn work<'a>(&'a self, context: &StudyContext<'a>) -> stratigraph_study::Result<Vec<Work<'a>>> {
        let points = Sweep::lens().points(&SweepContext::new(context.model.shape(), context.windows.seq_len()))?;
        let reading = |position: usize| Some(LensReading::new(self.0.get(position)?.clone(), position));
        let readings = (0..points.interventions.len()).map(reading).collect();
        Ok(vec![Work::Lens { name: self.name(), points, readings }])
    }
}

#[test]
fn points_that_several_lenses_read_are_refused() {
    let model = load("llama-gqa");
    let windows = windows(&model);
    let with = |two: Two| plan(&model, &windows).with_measurement(&two, &model, &windows);
    let error = with(Two(both(&model))).unwrap_err().to_string();
    assert!(error.starts_with("cannot shard two: its points are read by several lenses"), "{error}");
    let one = lens(&model, LensKind::Affine);
    assert!(with(Two([one.clone(), one])).is_ok());
}

#[test]
fn lenses_that_are_code_or_of_one_name_are_refused() {
    let model = load("llama-gqa");
    let windows = windows(&model);
    let with = |plan: JobPlan, lens: Arc<dyn Lens>| plan.with_measurement(&LensCurves::shared(lens), &model, &windows);
    let code = with(plan(&model, &windows), Arc::new(Half)).unwrap_err().to_string();
    assert_eq!(code, "cannot shard half_lens: the lens half_lens is code, which a job cannot hold; run it in a study");
    let [one, other] = [(); 2].map(|()| lens(&model, LensKind::Affine));
    let plan = with(plan(&model, &windows), one).unwrap();
    let under = LensCurves::shared(other).under(LayerPlan::full(3).delete(0).unwrap());
    let twice = plan.with_measurement(&under, &model, &windows).unwrap_err();
    assert!(matches!(twice, StudyError::NameTaken { what: "lens", .. }), "{twice}");
}

#[test]
fn a_lens_of_a_sweep_without_axes_is_refused() {
    let (model, dir) = (load("llama-gqa"), tempfile::tempdir().unwrap());
    job(dir.path(), &model, &both(&model));
    let path = dir.path().join("job.json");
    let mut plan: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let sweeps = plan["sweeps"].as_array_mut().unwrap();
    let sweep = sweeps.iter_mut().find(|sweep| !sweep["lens"].is_null()).unwrap();
    let n_points = sweep["interventions"].as_array().unwrap().len();
    sweep["axes"] = json!([]);
    sweep["names"] = (0..n_points).map(|point| format!("point {point}")).collect();
    fs::write(&path, plan.to_string()).unwrap();
    let message = Job::open(dir.path()).err().unwrap().to_string();
    assert!(message.contains("a lens reads the points of an axis"), "{message}");
}
