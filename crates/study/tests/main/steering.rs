//! Steering: against runs edited number by number, and what a model cannot be steered with.

use approx::abs_diff_eq;
use burn::tensor::{Device, Int, Tensor};
use stratigraph_core::{ActivationCache, Hook, HookPoint, NoTap, ResidualModel, RunModel, TokenWindows};
use stratigraph_models::Checkpoint;
use stratigraph_profile::{Axis, ReplicateUnit, Unit};
use stratigraph_study::measurements::{Steering, SteeringTarget, SteeringVector};
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::Budget;
use stratigraph_testing::{ByElement, Expected, FAMILIES, device, fixture, host};

use crate::small::{Small, windows};

/// A prompt of these tokens.
fn prompt(ids: &[u32]) -> TokenWindows {
    TokenWindows::new(ids, ids.len()).unwrap()
}

/// Prompts of two lengths to steer toward, one to steer away from, and two that ask.
struct Prompts {
    toward: [TokenWindows; 2],
    away: [TokenWindows; 1],
    asked: [TokenWindows; 2],
}

fn prompts() -> Prompts {
    let pair = TokenWindows::new(&[3, 1, 4, 1, 5, 9], 3).unwrap();
    Prompts {
        toward: [pair, prompt(&[2, 6, 5, 3, 5])],
        away: [prompt(&[8, 9, 7, 9])],
        asked: [prompt(&[3, 2, 3]), prompt(&[8, 4])],
    }
}

fn tokens(ids: &[u32], device: &Device) -> Tensor<2, Int> {
    prompt(ids).batch(0..1, device)
}

/// The log-probabilities at each position of a run whose activation at `point` gets `vector` times `strength` from position 1
/// on, number by number.
fn steered(model: &dyn ResidualModel, ids: &[u32], point: HookPoint, vector: &[f32], strength: f32) -> Vec<Vec<f64>> {
    let change = |[_, position, unit, _]: [usize; 4], value: f32| {
        if position == 0 { value } else { value + strength * vector[unit] }
    };
    let resid = model.forward(tokens(ids, &model.device()), &mut ByElement { point, change }).unwrap();
    let logits = host(model.logits(resid).unwrap());
    let row = |row: &[f32]| {
        let sum = row.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln();
        row.iter().map(|&logit| f64::from(logit) - sum).collect()
    };
    logits.chunks(model.d_vocab()).map(row).collect()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.into_iter().collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// The difference of the mean activations at the last positions, prompt by prompt.
fn direction(model: &dyn ResidualModel, point: HookPoint) -> Vec<f32> {
    let last = |ids: &[u32]| -> Vec<f32> {
        let cache = model.run_with_cache(&prompt(ids), ActivationCache::at([point])).unwrap();
        host(cache.tensor(point).unwrap())[(ids.len() - 1) * model.d_model()..].to_vec()
    };
    let toward = [&[3, 1, 4][..], &[1, 5, 9], &[2, 6, 5, 3, 5]].map(last);
    let away = last(&[8, 9, 7, 9]);
    (0..model.d_model()).map(|unit| (toward[0][unit] + toward[1][unit] + toward[2][unit]) / 3.0 - away[unit]).collect()
}

#[track_caller]
fn close(found: f64, expected: f64, what: &str) {
    assert!(abs_diff_eq!(found, expected, epsilon = 1e-4 * expected.abs().max(1.0)), "{what}: {found}, not {expected}");
}

#[test]
fn a_steered_run_is_one_that_is_edited_number_by_number() {
    let (layer, strengths, target, other) = (1, [0.0, 0.5, -2.0], [5, 6], 7);
    for name in FAMILIES {
        let model = Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap();
        let (text, point) = (Expected::of_family(name).windows(), Hook::ResidPre.at(layer));
        let Prompts { toward, away, asked } = prompts();
        let vector = SteeringVector::between(&model, point, &toward, &away).unwrap();
        let by_hand = direction(&model, point);
        vector.values().iter().zip(&by_hand).for_each(|(a, b)| close(f64::from(*a), f64::from(*b), name));

        let run = |aim: SteeringTarget| {
            let steering = Steering::new(vector.clone()).with_strengths(strengths).with_target(aim);
            Study::new(&model).add(steering).run(&text).unwrap()
        };
        let log_prob = run(SteeringTarget::new(asked.clone(), target));
        let difference = run(SteeringTarget::new(asked, target).against([other]));
        for (at, strength) in strengths.into_iter().enumerate() {
            let of = |ids: &[u32], strength: f64| steered(&model, ids, point, &by_hand, strength as f32);
            let losses = (0..text.n_sequences()).flat_map(|window| {
                let ids = text.sequence(window);
                let rows = of(ids, strength);
                (1..ids.len()).map(move |next| -rows[next - 1][ids[next] as usize]).collect::<Vec<_>>()
            });
            close(log_prob.curve("steer_nll").unwrap().mean[at], mean(losses), &format!("{name}: loss at {strength}"));
            let kl = (0..text.n_sequences()).flat_map(|window| {
                let (p, q) = (of(text.sequence(window), 0.0), of(text.sequence(window), strength));
                let kl = |(p, q): (&Vec<f64>, &Vec<f64>)| p.iter().zip(q).map(|(p, q)| p.exp() * (p - q)).sum::<f64>();
                p.iter().zip(&q).map(kl).collect::<Vec<_>>()
            });
            close(log_prob.curve("steer_kl").unwrap().mean[at], mean(kl), &format!("{name}: KL at {strength}"));
            let rows = [&[3, 2, 3][..], &[8, 4]].map(|ids| of(ids, strength).pop().unwrap());
            let of_target = |row: &Vec<f64>| mean(target.map(|token| row[token as usize]));
            let found = log_prob.curve("steer_target").unwrap().mean[at];
            close(found, mean(rows.iter().map(of_target)), &format!("{name}: target at {strength}"));
            let found = difference.curve("steer_target").unwrap().mean[at];
            let expected = mean(rows.iter().map(|row| of_target(row) - row[other as usize]));
            close(found, expected, &format!("{name}: difference at {strength}"));
        }
    }
}

/// What a study finds when a small model is steered.
fn found(steering: Steering) -> Findings {
    let model = Small::new(&device());
    Study::new(&model).add(steering).run(&windows()).unwrap()
}

fn vector() -> SteeringVector {
    let values: Vec<f32> = (0..32).map(|unit| (unit as f32).sin()).collect();
    SteeringVector::new(Hook::ResidPre.at(1), values)
}

fn asked() -> SteeringTarget {
    SteeringTarget::new(prompts().asked, [5, 6])
}

#[test]
fn at_strength_0_it_is_the_clean_run_bit_for_bit() {
    let model = Small::new(&device());
    let findings = found(Steering::new(vector()).with_strengths([0.0, 1.0]).with_target(asked()));
    let clean = &findings.interventions()[0];
    for metric in ["nll", "entropy_bits", "accuracy"] {
        assert_eq!(findings.curve(&format!("steer_{metric}")).unwrap().mean[0], clean.metrics[metric].mean, "{metric}");
    }
    let curve = |name: &str| findings.curve(name).unwrap();
    assert_eq!((curve("steer_kl").mean[0], curve("steer_top1_agreement").mean[0]), (0.0, 1.0));
    assert!(curve("steer_kl").mean[1] > 0.0);
    let steered = findings.interventions().iter().find(|it| it.name == "steer 0").unwrap();
    assert_eq!(steered.text, clean.text);
    // The target too: as in a run that nothing is added to, and one in which zero is.
    let readout = stratigraph_probes::readout::Readout::new(&model);
    let plain = |ids: &[u32]| {
        let resid = model.forward(tokens(ids, &device()), &mut NoTap).unwrap();
        let last = resid.narrow(1, ids.len() - 1, 1).squeeze_dim(1);
        mean(readout.log_probs(last, &[5, 6]).unwrap().remove(0))
    };
    let target = curve("steer_target");
    assert_eq!(target.replicates[0], [plain(&[3, 2, 3]), plain(&[8, 4])]);
    let nothing = SteeringVector::new(Hook::ResidPre.at(1), vec![0.0; 32]);
    let nothing = found(Steering::new(nothing).with_strengths([1.0]).with_target(asked()));
    assert_eq!(nothing.curve("steer_target").unwrap().mean[0], target.mean[0]);
    assert_eq!(nothing.curve("steer_kl").unwrap().mean[0], 0.0);
}

#[test]
fn a_strength_is_a_factor_of_the_vector() {
    let twice: Vec<f32> = vector().values().iter().map(|x| 2.0 * x).collect();
    let twice = SteeringVector::new(vector().point(), twice);
    let [one, two] = [(twice, 1.0), (vector(), 2.0)]
        .map(|(vector, strength)| found(Steering::new(vector).with_strengths([strength]).with_target(asked())));
    for name in ["steer_nll", "steer_kl", "steer_target"] {
        assert_eq!(one.curve(name).unwrap().mean, two.curve(name).unwrap().mean, "{name}");
    }
}

#[test]
fn positions_that_are_left_out_keep_their_predictions() {
    // At the last position alone: the loss, which the last position has none of, stays.
    let last = Steering::new(vector()).with_strengths([0.0, 1.0]).with_positions(11..12);
    let findings = found(last);
    let nll = &findings.curve("steer_nll").unwrap().mean;
    assert_eq!(nll[0], nll[1]);
    assert!(findings.curve("steer_kl").unwrap().mean[1] > 0.0);
}

#[test]
fn prompts_run_in_batches_that_fit_the_budget() {
    let model = Small::new(&device());
    let prompts = TokenWindows::new(&(0..15).collect::<Vec<_>>(), 3).unwrap(); // five of one length
    let run = |bytes| {
        let target = SteeringTarget::new([prompts.clone()], [5, 6]);
        let steering = Steering::new(vector()).with_strengths([0.0, 1.0]).with_target(target);
        let budget = Budget { bytes, ..Budget::default() };
        Study::new(&model).add(steering).with_budget(budget).run(&windows()).unwrap()
    };
    // A prompt takes 7,680 bytes, and three quarters of the budget are for running it: four of five run together.
    let (small, large) = (run(46_000), run(1 << 30));
    let target = |findings: &Findings| findings.curve("steer_target").unwrap().replicates.concat();
    assert_eq!((target(&small).len(), target(&large).len()), (10, 10));
    target(&small).iter().zip(target(&large)).for_each(|(a, b)| close(*a, b, "target"));
}

#[test]
fn curves_say_what_they_are_over_and_of() {
    let findings = found(Steering::new(vector()).with_target(asked().against([7])));
    let (loss, target) = (findings.curve("steer_nll").unwrap(), findings.curve("steer_target").unwrap());
    let strengths = Axis::labelled("strength", ["0", "0.5", "1", "1.5", "2", "3"]);
    assert_eq!((&loss.axis, &target.axis), (&strengths, &strengths));
    assert_eq!((&loss.unit, &target.unit), (&Unit::Nats, &Unit::Logits));
    assert_eq!(
        (target.replicate_unit, target.n_replicates(), target.n_windows()),
        (ReplicateUnit::Prompts, Some(2), None)
    );
    assert!(target.sem.iter().all(Option::is_some));
    findings.into_profile().check().unwrap();
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_runs() {
    let model = Small::new(&device());
    let refused = |steering: Steering, part: &str| {
        let mut progressed = false;
        let study = Study::new(&model).add(steering).on_progress(|_| progressed = true);
        let message = study.run(&windows()).unwrap_err().to_string();
        assert!(message.contains(part) && !progressed, "{message}");
    };
    let at = |point: HookPoint, n: usize| Steering::new(SteeringVector::new(point, vec![1.0; n]));
    refused(
        at(Hook::ResidPre.at(1), 3),
        "the vector has 3 numbers, and `blocks.1.hook_resid_pre` of the model is 32 wide",
    );
    refused(at(Hook::ResidPre.at(40), 32), "layer 40 does not exist: the model has 3 layers (0 to 2)");
    refused(at(Hook::MlpPost.at(1), 64), "mlp.hook_post");
    let nan = SteeringVector::new(Hook::ResidPre.at(0), vec![f32::NAN; 32]);
    refused(Steering::new(nan), "cannot measure steering: number 0 of the vector is NaN");
    refused(Steering::new(vector()).with_strengths([]), "there are no strengths");
    refused(Steering::new(vector()).with_strengths([1.0, f64::INFINITY]), "a strength is inf");
    refused(Steering::new(vector()).with_strengths([1.0, 2.0, 1.0]), "the strength 1 is given twice");
    refused(Steering::new(vector()).with_strengths([1e300]), "the vector times the strength 1e300 is beyond");
    refused(Steering::new(vector()).with_positions(12..), "blocks.1.hook_resid_pre");
    let aims = |target: SteeringTarget| Steering::new(vector()).with_target(target);
    refused(aims(SteeringTarget::new([], [5])), "there are no prompts to measure the target on");
    refused(aims(SteeringTarget::new(prompts().asked, [])), "the target has no tokens");
    refused(aims(SteeringTarget::new(prompts().asked, [60])), "token id 60 is outside the model's vocabulary of 60");
    refused(aims(asked().against([99])), "token id 99");
    refused(aims(asked().against([7, 5])), "the token 5 is given twice, as a target or as what it is measured against");
    refused(aims(asked()).with_positions(5..), "blocks.1.hook_resid_pre"); // the prompts are shorter
}

#[test]
fn directions_that_cannot_be_made_are_refused() {
    let model = Small::new(&device());
    let Prompts { toward, away, .. } = prompts();
    let refused = |point, toward: &[TokenWindows], away: &[TokenWindows]| {
        SteeringVector::between(&model, point, toward, away).unwrap_err().to_string()
    };
    let pre = Hook::ResidPre.at(1);
    assert_eq!(refused(pre, &[], &away), "cannot measure steering: there are no prompts to steer toward");
    assert_eq!(refused(pre, &toward, &[]), "cannot measure steering: there are no prompts to steer away from");
    assert!(refused(pre, &toward, &toward).contains("both sets of prompts have the same mean activation"));
    assert!(refused(Hook::ResidPre.at(3), &toward, &away).starts_with("layer 3 does not exist"));
    assert!(refused(Hook::Z.at(1), &toward, &away).contains("attn.hook_z"));
    assert!(refused(pre, &[prompt(&[1, 77])], &away).contains("token id 77"));
    let llama = Checkpoint::open(fixture("llama-gqa")).unwrap().load(&device()).unwrap();
    let heads = SteeringVector::between(&llama, Hook::Z.at(1), &toward, &away).unwrap_err().to_string();
    assert!(heads.contains("`blocks.1.attn.hook_z` has heads"), "{heads}");
}
