//! Jobs: what shards give together is what one run gives, however they are cut.

use std::fs;

use stratigraph_core::{
    CoreError, Edit, EditKind, Hook, ModelShape, Positions, Precision, ResidualModel, Sublayer, TokenWindows,
};
use stratigraph_probes::metrics::Metrics;
use stratigraph_profile::Axis;
use stratigraph_study::job::{Job, JobCorpus, JobModel, JobPlan, Shard, ShardRun, StepSize};
use stratigraph_study::{Backend, Findings, Study, StudyError};
use stratigraph_surgery::{Budget, Intervention, LayerPlan, Sweep, SweepContext, SweepPoints};
use stratigraph_testing::{TestDevice, device, devices};

use crate::given::{Given, SHA256, small_steps, sweeps};
use crate::small::{Small, assert_close, assert_within};

#[test]
fn one_step_over_everything_is_a_study_to_the_bit() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let own: Intervention = "0-2-1-2".parse().unwrap();
    let plan = given.plan_of(&sweeps()).with_intervention(own.clone().with_name("twice")).unwrap();
    let job = given.job(dir.path(), plan.with_step_size(StepSize::new(7)).unwrap());
    assert_eq!(given.run(&job, Shard::WHOLE), 1);
    let merged = job.merge(&[]).unwrap();
    let study = given.study(&sweeps()).intervention(own.with_name("twice")).run(&given.windows).unwrap();
    assert_eq!(merged.findings, study.with_record("flex", Vec::new()));
    assert_eq!(merged.device, "flex");
    let curve = merged.findings.curve("delete_kl").unwrap().clone();
    let profile = merged.into_profile(vec!["merge".to_owned()]);
    assert_eq!((&profile.curves["delete_kl"], &*profile.device, profile.command.len()), (&curve, "flex", 1));
    assert!(profile.interventions.iter().any(|it| it.name == "twice" && it.text == "0-2-1-2"));
}

#[test]
fn however_it_is_cut_it_gives_the_same_bits_and_within_rounding_what_a_study_gives() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let (_, whole) = given.done(&dir.path().join("whole"), &sweeps());
    let job = given.job(&dir.path().join("cut"), given.plan_of(&sweeps()));
    // Two cuts that overlap, the later shards first, one of them twice.
    let done: usize = [(3, 2), (2, 1), (2, 1), (3, 0), (2, 0)]
        .map(|(count, index)| given.run(&job, Shard::each(count).nth(index).unwrap()))
        .iter()
        .sum();
    assert_eq!(done, job.n_steps(), "a step is done once");
    assert_eq!(job.merge(&[]).unwrap().findings, whole.findings);
    let study = given.studied(&sweeps());
    assert_eq!(study.interventions().len(), whole.findings.interventions().len());
    assert_close(&whole.findings, &study);
}

#[test]
fn a_sweep_of_the_users_own_is_run_and_named() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let halves = Sweep::each_layer("half_mlp", |_, layer| Ok(Edit::scale(Hook::MlpOut.at(layer), 0.5)));
    let positions = Sweep::each_position("zero_from", |layer, position| {
        Ok(Edit::zero(Hook::AttnOut.at(layer)).with_positions(Positions::from(position)))
    });
    let own = [halves, positions];
    let (_, merged) = given.done(dir.path(), &own);
    let study = given.studied(&own);
    assert_close(&merged.findings, &study);
    assert!(merged.findings.matrices().keys().eq(study.matrices().keys()));
    assert_eq!(merged.findings.matrix("zero_from_kl").unwrap().values.len(), 3);
    let names = |findings: &Findings| {
        findings.interventions().iter().map(|it| (it.name.clone(), it.text.clone(), it.index)).collect::<Vec<_>>()
    };
    assert_eq!(names(&merged.findings), names(&study));
    assert_eq!(merged.findings.interventions()[2].name, "half_mlp 1");
}

#[test]
fn a_copy_is_the_plan_and_the_token_ids() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let (job, merged) = given.done(&dir.path().join("job"), &sweeps());
    let copy = dir.path().join("copy");
    fs::create_dir(&copy).unwrap();
    for file in ["job.json", "tokens.bin"] {
        fs::copy(job.path().join(file), copy.join(file)).unwrap();
    }
    let copy = Job::open(copy).unwrap();
    assert_eq!(copy.plan().sweeps, job.plan().sweeps);
    given.run(&copy, Shard::WHOLE);
    assert_eq!(copy.merge(&[]).unwrap().findings, merged.findings);
    // Records without their plan are not overwritten by another job.
    fs::remove_file(job.path().join("job.json")).unwrap();
    let again = Job::create(job.path(), given.plan_of(&sweeps()[..1]), given.windows.clone());
    assert!(matches!(again, Err(StudyError::JobExists { .. })));
}

#[test]
fn shards_of_copies_merge_into_one() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let (_, whole) = given.done(&dir.path().join("whole"), &sweeps());
    let copies: Vec<_> = Shard::each(2)
        .map(|shard| {
            let path = dir.path().join(shard.to_string().replace('/', "of"));
            let job = given.job(&path, given.plan_of(&sweeps()));
            given.run(&job, shard);
            job
        })
        .collect();
    let [first, second] = <[Job; 2]>::try_from(copies).unwrap();
    let unfinished = first.merge(&[]).unwrap_err();
    assert!(unfinished.to_string().ends_with("6 of 12 steps done; missing: 6 to 11"), "{unfinished}");
    assert_eq!(first.status(std::slice::from_ref(&second)).unwrap().n_done(), 12);
    assert_eq!(first.merge(&[second]).unwrap().findings, whole.findings);
}

#[test]
fn other_windows_are_resampled_across_shards_too() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let resample = [Sublayer::Attention, Sublayer::Mlp].map(|part| Sweep::sublayers(part, EditKind::Resample));
    let plan = given.plan_of(&resample).with_step_size(StepSize::new(1)).unwrap();
    let job = given.job(dir.path(), plan);
    given.run(&job, Shard::WHOLE);
    assert_close(&job.merge(&[]).unwrap().findings, &given.studied(&resample));
}

#[test]
fn documents_are_kept_with_the_job() {
    let (dir, documents) = (tempfile::tempdir().unwrap(), vec![0, 0, 1, 1, 1, 2, 2]);
    let given = Given::new();
    let given = Given { windows: given.windows.with_documents(documents.clone()).unwrap(), model: given.model };
    let resample = [Sweep::sublayers(Sublayer::Mlp, EditKind::Resample)];
    let (job, merged) = given.done(dir.path(), &resample);
    assert_close(&merged.findings, &given.studied(&resample));
    assert_eq!(Job::open(job.path()).unwrap().windows().documents(), Some(&documents[..]));
    let plain = Given::new().studied(&resample);
    let kl = |findings: &Findings| findings.curve("resample_mlp_kl").unwrap().mean.clone();
    assert_ne!(kl(&plain), kl(&merged.findings), "other windows are taken");
}

#[test]
fn several_devices_share_the_steps_and_the_windows() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let (_, alone) = given.done(&dir.path().join("alone"), &sweeps());
    let twin = Small::new(&device());
    let job = given.job(&dir.path().join("two"), given.plan_of(&sweeps()));
    let run = ShardRun::new(&job, "flex", &given.model, SHA256).unwrap().also_on("its twin", &twin).unwrap();
    assert_eq!(run.run().unwrap(), job.n_steps());
    let merged = job.merge(&[]).unwrap();
    let curves = |findings: &Findings| findings.curves().clone();
    assert_eq!(curves(&merged.findings), curves(&alone.findings), "steps are the same, whichever device does them");
    let studied = |study: Study| study.add(Sweep::delete()).run(&given.windows).unwrap().into_profile_without_stages();
    let expected = studied(Study::new(&given.model));
    for TestDevice { backend, device } in devices() {
        let other = Small::new(&device);
        let tolerance = if backend == Backend::Wgpu { 1e-3 } else { 1e-5 };
        assert_within(&studied(Study::new(&given.model).also_on(&other)), &expected, tolerance);
    }
}

#[test]
fn a_model_of_another_shape_is_not_a_replica() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let job = given.job(dir.path(), given.plan_of(&sweeps()));
    let wider = Small::of_shape(ModelShape::new(3, 48, 60), &device());
    let refused = ShardRun::new(&job, "flex", &given.model, SHA256).unwrap().also_on("flex", &wider).err().unwrap();
    assert!(matches!(refused, StudyError::OtherReplica { expected: [3, 32, 60], found: [3, 48, 60] }), "{refused}");
}

#[test]
fn a_shard_of_another_precision_is_refused() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let job = given.job(dir.path(), given.plan_of(&sweeps()));
    let half = Small::of_shape(given.model.shape().with_precision(Precision::Bf16), &device());
    let refused = ShardRun::new(&job, "flex", &half, SHA256).err().unwrap();
    assert_eq!(
        refused.to_string(),
        "the model holds its weights in bf16, but the job or the first device uses f32; use f32"
    );
    assert!(ShardRun::new(&job, "flex", &given.model, SHA256).unwrap().also_on("flex", &half).is_err());
    let study = Study::new(&given.model).add(Sweep::delete()).also_on(&half);
    assert!(matches!(study.run(&given.windows), Err(StudyError::Core(CoreError::OtherPrecision { .. }))));
    // A job of that precision takes it, and says so.
    let record = JobModel::new(&half, "small", "small", SHA256);
    let plan = JobPlan::new(&half, record, JobCorpus::new("ids", &given.windows), &given.windows).unwrap();
    assert_eq!(plan.dtype, Precision::Bf16);
    let job = Job::create(dir.path().join("half"), plan, given.windows.clone()).unwrap();
    ShardRun::new(&Job::open(job.path()).unwrap(), "flex", &half, SHA256).unwrap().run().unwrap();
    assert_eq!(job.merge(&[]).unwrap().into_profile(Vec::new()).model.precision, "bf16");
}

#[test]
fn a_budget_that_is_too_small_is_an_error_and_writes_nothing() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let small = Budget { bytes: 1, ..Budget::default() };
    let job = given.job(dir.path(), given.plan_of(&sweeps()));
    let twin = Small::new(&device());
    let run = ShardRun::new(&job, "flex", &given.model, SHA256).unwrap().also_on("flex", &twin).unwrap();
    assert!(matches!(run.with_budget(small).run(), Err(StudyError::Surgery(_))));
    assert_eq!(job.status(&[]).unwrap().n_done(), 0);
}

#[test]
fn a_job_measures_the_metrics_that_its_plan_names() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let names = ["js", "nll", "rank", "top5_overlap"];
    let job = given.job(dir.path(), given.plan_of(&sweeps()).with_metrics(names).unwrap());
    given.run(&job, Shard::WHOLE);
    let merged = job.merge(&[]).unwrap();
    let study = given.study(&sweeps()).with_metrics(Metrics::from_names(names).unwrap());
    let study = study.run(&given.windows).unwrap();
    assert!(merged.findings.values().keys().eq(["clean_nll", "clean_rank", "unigram_loss"]));
    assert_close(&merged.findings, &study);
    let refused = |metrics: &[&str]| given.plan().with_metrics(metrics).unwrap_err().to_string();
    assert!(refused(&["nll", "perplexity"]).contains("unknown metric `perplexity`; known: kl, top1_agreement"));
    assert!(refused(&["nll", "nll"]).contains("has a metric `nll` already"));
    assert!(refused(&[]).contains("it measures no metric"));
}

#[test]
fn what_cannot_be_sharded_is_refused_by_name() {
    let given = Given::new();
    let sweep = |sweep: Sweep| given.plan().with_sweep(&sweep).unwrap_err();
    let masked = Sweep::delete_at(Positions::mask("some", vec![vec![true; 12]; 7])).at_positions(1..);
    assert!(sweep(masked).to_string().contains("has a mask of positions already"));
    let masked = sweep(Sweep::delete_at(Positions::mask("some", vec![vec![true; 12]; 7]))).to_string();
    assert!(
        masked.starts_with("cannot shard delete_at_mask(some): the edit `blocks.0.hook_resid_post pos=mask("),
        "{masked}"
    );
    let squared = Sweep::each_layer("squared", |_, layer| {
        Ok(Edit::custom(Hook::MlpOut.at(layer), "squared", |x, _| Ok(x.wide(Hook::MlpOut.at(0))?.square().into())))
    });
    let squared = sweep(squared).to_string();
    assert!(squared.starts_with("cannot shard squared: the edit `blocks.0.hook_mlp_out custom(squared)"), "{squared}");
    assert!(matches!(sweep(Sweep::repeat(9)), StudyError::Surgery(_)));
    let cube = Sweep::new("cube", |context: &SweepContext| {
        let axes = [(); 3].map(|()| Axis::counting("point", 1));
        SweepPoints::new(context, axes, [Ok(context.full())])
    });
    assert!(matches!(sweep(cube), StudyError::TooManyAxes { n_axes: 3, .. }));
    let twice = given.plan_of(&[Sweep::delete()]).with_sweep(&Sweep::delete()).unwrap_err();
    assert_eq!(twice.to_string(), "there is already a sweep named `delete`; give the other one another name");

    let single = |text: &str| given.plan().with_intervention(text.parse::<Intervention>().unwrap());
    assert!(single("0-1[a=mean]-2").is_ok(), "means are measured for all shards");
    assert!(matches!(single("0-9"), Err(StudyError::Surgery(_))));
    assert!(matches!(single("0..3 | blocks.1.attn.hook_z zero"), Err(StudyError::Surgery(_))));
    let own = || LayerPlan::new(vec![]);
    let once = given.plan().with_intervention(own()).unwrap();
    assert_eq!(once.clone().with_intervention(own()).unwrap(), once, "the same intervention is kept once");
    for step in [StepSize::new(0), small_steps().with_interventions(0)] {
        assert!(matches!(given.plan().with_step_size(step), Err(StudyError::BadJobPlan { .. })));
    }
    let mut other = given.windows.ids().to_vec();
    other[0] += 1;
    let other = TokenWindows::new(&other, 12).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let refused = Job::create(dir.path(), given.plan(), other).unwrap_err();
    assert!(matches!(refused, StudyError::BadJobPlan { .. }), "{refused}");
}
