//! Tasks on checkpoints: padding changes nothing in any family, and the model in the box answers better than without a layer.

use stratigraph_core::{NoTap, RunModel, TokenWindows};
use stratigraph_models::Checkpoint;
use stratigraph_probes::readout::{Readout, Reduction, Tiles};
use stratigraph_study::TaskRun;
use stratigraph_surgery::LayerPlan;
use stratigraph_tasks::Task;
use stratigraph_testing::{FAMILIES, assert_close, device, fixture, host, repository};

#[test]
fn padding_on_the_right_changes_nothing_in_any_family() {
    for name in FAMILIES {
        let model = Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap();
        let ids: Vec<u32> = (0..15).map(|i| (i * i * 7 + 3) % 48).collect();
        let run = |ids: &[u32]| {
            let windows = TokenWindows::new(ids, ids.len()).unwrap();
            let resid = model.forward(windows.batch(0..1, &device()), &mut NoTap).unwrap();
            host(resid.narrow(1, 0, 15))
        };
        let expected = run(&ids);
        for padded in [16, 24] {
            assert_close(&run(&[&ids[..], &vec![5; padded - 15]].concat()), &expected, 1e-5, name);
        }
    }
}

#[test]
fn some_rows_read_out_alone_are_those_of_all_logits() {
    for path in ["tests/fixtures/llama-gqa", "models/tiny"] {
        let model = Checkpoint::open(repository().join(path)).unwrap().load(&device()).unwrap();
        let windows = TokenWindows::new(&[5, 7, 9, 11, 13], 5).unwrap();
        let resid = model.forward(windows.batch(0..1, &device()), &mut NoTap).unwrap();
        let (rows, tokens) = ([4, 0, 2], [17, 250, 3]);
        let logits = model.logits(resid.clone()).unwrap();
        let [_, _, d_vocab] = logits.dims();
        let all: Vec<f32> = logits.try_into_vec_as().unwrap();
        for reduction in [Reduction::Host, Reduction::Device] {
            for tiles in [Tiles { rows: 2, vocab: 100 }, Tiles { rows: 64, vocab: 1 << 20 }] {
                let readout = Readout::new(&model).with_reduction(reduction).with_tiles(tiles);
                let found = readout.of_tokens(&resid, &rows, &tokens).unwrap();
                for ((row, token), found) in rows.iter().zip(tokens).zip(found) {
                    let row = &all[row * d_vocab..][..d_vocab];
                    let lse = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
                    assert!((found.log_prob - (f64::from(row[token as usize]) - lse)).abs() < 1e-4, "{found:?}");
                    assert_eq!(found.is_top1, row.iter().all(|&x| x <= row[token as usize]));
                }
                let broken = readout.of_tokens(&resid.clone().mul_scalar(f32::NAN), &rows, &tokens).unwrap();
                assert!(broken.iter().all(|found| found.log_prob.is_nan()), "{broken:?}");
            }
        }
    }
}

#[test]
fn the_model_in_the_box_knows_more_than_one_without_a_layer() {
    let checkpoint = Checkpoint::open(repository().join("models/tiny")).unwrap();
    let (model, tokenizer) = (checkpoint.load(&device()).unwrap(), checkpoint.tokenizer().unwrap());
    let mut items = Task::Lambada.read(repository().join("examples/data/tasks/lambada.jsonl")).unwrap();
    items.truncate(12);
    let encoded = Task::Lambada.encode(items, |text| tokenizer.encode(text)).unwrap();
    let delete = LayerPlan::full(12).delete(0).unwrap();
    let results = TaskRun::new(&model).interventions([delete]).run(&encoded).unwrap();
    let perplexity = |index: usize| results[index].scores.perplexity.unwrap().mean;
    assert!(perplexity(0) * 2.0 < perplexity(1), "{}, {}", results[0], results[1]);
}
