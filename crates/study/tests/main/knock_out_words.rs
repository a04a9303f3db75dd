//! Attention knocked out within and across words: its interventions, the paired difference, and errors.

use burn::tensor::Device;
use stratigraph_core::{Edit, Hook, ModelShape, ResidualModel, TokenWindows};
use stratigraph_models::{Checkpoint, Decoder};
use stratigraph_probes::lexical::{WindowWords, WordPairs};
use stratigraph_study::measurements::KnockOutWords;
use stratigraph_study::{Findings, Study};
use stratigraph_surgery::Intervention;
use stratigraph_testing::{device, fixture};

use crate::small::Small;

fn load(device: &Device) -> Decoder {
    Checkpoint::open(fixture("llama-gqa")).unwrap().load(device).unwrap()
}

/// Tokens begin a word, go on with one, or are no word, by their ids.
fn texts(d_vocab: usize) -> Vec<String> {
    (0..d_vocab).map(|id| [" one", "more", "on", " of", "!"][id % 5].to_owned()).collect()
}

fn windows(model: &dyn ResidualModel, seq_len: usize) -> TokenWindows {
    let ids: Vec<u32> = (0..5 * seq_len).map(|i| (i * i * 7 % model.d_vocab()) as u32).collect();
    TokenWindows::new(&ids, seq_len).unwrap()
}

#[test]
fn the_difference_is_that_of_the_windows() {
    let model = load(&device());
    let windows = windows(&model, 24);
    let measurement = KnockOutWords::new(texts(model.d_vocab()));
    let pairs = WordPairs::draw(&WindowWords::new(&windows, &texts(model.d_vocab())), 3).unwrap();
    assert!(pairs.within.n_pairs() > 10);
    let single = |name: &str, layer: usize, pairs: &stratigraph_core::PairMask| {
        Intervention::none(3).edit(Edit::mask_pairs(layer, pairs.clone())).with_name(name)
    };
    let study = Study::new(&model).with_seed(3).add(measurement);
    let study = study.intervention(single("own", 1, &pairs.within)).intervention(single("other", 1, &pairs.across));
    let findings = study.run(&windows).unwrap();
    let curve = |name: &str| findings.curve(name).unwrap();
    for metric in ["kl", "nll", "top1_agreement", "entropy_bits", "accuracy"] {
        let [within, across, difference] =
            ["within_words", "across_words", "words"].map(|of| curve(&format!("knock_out_{of}_{metric}")));
        assert_eq!((difference.len(), difference.n_windows()), (3, Some(5)));
        for layer in 0..3 {
            assert_eq!(difference.mean[layer], within.mean[layer] - across.mean[layer]);
            for window in 0..5 {
                let [a, b, d] = [within, across, difference].map(|curve| curve.replicates[layer][window]);
                assert_eq!(d, a - b, "{metric} {layer} {window}");
            }
        }
    }
    let recorded = |name: &str| findings.interventions().iter().find(|it| it.name == name).unwrap().metrics["kl"].mean;
    assert_eq!(curve("knock_out_within_words_kl").mean[1], recorded("own"));
    assert_eq!(curve("knock_out_across_words_kl").mean[1], recorded("other"));
    assert_ne!(recorded("own"), recorded("other"));
    assert!(curve("knock_out_within_words_kl").mean.iter().all(|kl| *kl > 0.0));
}

#[test]
fn texts_and_models_that_it_cannot_measure_are_refused() {
    let model = load(&device());
    let windows = windows(&model, 24);
    let refused = |findings: stratigraph_study::Result<Findings>| findings.unwrap_err().to_string();
    let words = KnockOutWords::new(vec![" word".to_owned(); model.d_vocab()]);
    assert!(refused(Study::new(&model).add(words).run(&windows)).contains("0 words of several tokens"));
    let closed = Small::of_shape(ModelShape::new(3, 32, 300), &device());
    let words = KnockOutWords::new(texts(300));
    let reason = refused(Study::new(&closed).add(words).run(&windows));
    let hook = Hook::AttnScores;
    assert_eq!(reason, format!("cannot measure knock_out_words: the model does not offer the hook `{hook}`"));
}
