//! Replaced sublayers, hidden keys, and what is refused.

use burn::tensor::{Device, Tensor, TensorData};
use stratigraph_core::{
    ActivationCache, CoreError, Edit, EditTap, Hook, ModelWeights, NoTap, Positions, ResidualModel, RunModel, Site,
    Tap, Taps,
};
use stratigraph_testing::{FAMILIES, host};

use super::super::norm::AnyNorm;
use super::{SEQ_LEN, checkpoint, close, load, windows};
use crate::{Checkpoint, LoadOptions};

/// The block's output with a sublayer's addition left out or replaced, by the sublayers themselves.
#[test]
fn a_replaced_sublayer_adds_what_stands_in_for_it() {
    for name in FAMILIES {
        let model = load(name);
        let resid = model.embed(windows().batch(0..2, &Device::flex())).unwrap();
        let site = Site { slot: 0, layer: 1 };
        let run =
            |edits: &[Edit]| host(model.block(site, resid.clone(), &mut EditTap::new(edits, vec![0, 1])).unwrap());
        let block = &model.blocks[1];
        let normed = |norm: Option<&AnyNorm>| norm.map_or(resid.clone(), |norm| norm.forward(resid.clone()));
        let attn = block.attn_out(site, normed(block.attn_norm.as_ref()), None, &mut NoTap).unwrap();
        let mlp_norm = block.mlp_norm.as_ref().or(block.attn_norm.as_ref());
        let mlp = block.mlp_out(site, normed(mlp_norm), &mut NoTap).unwrap();
        let (attn_out, mlp_out) = (Hook::AttnOut.at(0), Hook::MlpOut.at(0));
        assert_eq!(run(&[Edit::zero(attn_out)]), host(resid.clone() + mlp), "{name}");
        assert_eq!(run(&[Edit::zero(mlp_out)]), host(resid.clone() + attn.clone()), "{name}");
        assert_eq!(run(&[Edit::zero(attn_out), Edit::zero(mlp_out)]), host(resid.clone()), "{name}");
        let patches = [Edit::patch(attn_out, attn), Edit::zero(mlp_out)];
        assert_eq!(run(&patches), run(&[Edit::zero(mlp_out)]), "{name}");
    }
}

#[test]
fn an_edited_scale_is_what_the_norm_divides_by() {
    for name in FAMILIES {
        let model = load(name);
        if !model.hooks().contains(Hook::Ln1Scale) {
            continue; // its norms are after sublayers
        }
        let (device, site) = (Device::flex(), Site { slot: 0, layer: 1 });
        let resid = model.embed(windows().batch(0..2, &device)).unwrap();
        let scales: Vec<f32> = (0..2 * SEQ_LEN).map(|row| 0.5 + (row as f32 * 0.7).sin().abs()).collect();
        let scales = Tensor::<3>::from_data(TensorData::new(scales, [2, SEQ_LEN, 1]), &device);
        let normed = |norm: &AnyNorm| match norm {
            AnyNorm::Layer(norm) => {
                let centred = resid.clone() - resid.clone().mean_dim(2);
                let normed = centred / scales.clone();
                let scaled = norm.gamma.iter().fold(normed, |normed, gain| normed * gain.val().unsqueeze());
                norm.beta.iter().fold(scaled, |scaled, bias| scaled + bias.val().unsqueeze())
            }
            AnyNorm::Rms(norm) => resid.clone() / scales.clone() * norm.gamma.val().unsqueeze(),
        };
        let run = |scale: Hook, without: Hook| {
            let edits = [Edit::patch(scale.at(0), scales.clone()), Edit::zero(without.at(0))];
            host(model.block(site, resid.clone(), &mut EditTap::new(&edits, vec![0, 1])).unwrap())
        };
        let block = &model.blocks[1];
        let attn = block.attn_out(site, normed(block.attn_norm.as_ref().unwrap()), None, &mut NoTap).unwrap();
        close(&format!("{name} ln1"), &run(Hook::Ln1Scale, Hook::MlpOut), &host(resid.clone() + attn));
        let (scale, norm) = match &block.mlp_norm {
            Some(norm) => (Hook::Ln2Scale, norm),
            None => (Hook::Ln1Scale, block.attn_norm.as_ref().unwrap()), // it serves both
        };
        let mlp = block.mlp_out(site, normed(norm), &mut NoTap).unwrap();
        close(&format!("{name} ln2"), &run(scale, Hook::AttnOut), &host(resid.clone() + mlp));
    }
}

#[test]
fn attention_runs_for_those_who_look_inside_though_its_output_is_replaced() {
    for name in ["gpt2", "neox-parallel", "phi"] {
        let (model, edits) = (load(name), [Edit::zero(Hook::AttnOut.at(1))]);
        let tokens = || windows().batch(0..2, &Device::flex());
        let alone = host(model.forward(tokens(), &mut EditTap::new(&edits, vec![0, 1])).unwrap());
        let (mut edit, mut cache) = (EditTap::new(&edits, vec![0, 1]), ActivationCache::at([Hook::Pattern.at(1)]));
        let both = model.forward(tokens(), &mut Taps::new([&mut edit as &mut dyn Tap, &mut cache])).unwrap();
        assert_eq!(host(both), alone, "{name}");
        let pattern = host(cache.heads(Hook::Pattern.at(1)).unwrap());
        assert!(pattern.chunks(SEQ_LEN).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5), "{name}");
    }
}

#[test]
fn hidden_keys_get_no_attention_and_the_future_stays_hidden() {
    let model = load("mistral"); // with a window of 5 tokens
    let pattern = |edit: Edit| {
        let (edits, point) = ([edit], Hook::Pattern.at(1));
        let (mut edit, mut cache) = (EditTap::new(&edits, vec![0, 1]), ActivationCache::at([point]));
        let tokens = windows().batch(0..2, &Device::flex());
        model.forward(tokens, &mut Taps::new([&mut edit as &mut dyn Tap, &mut cache])).unwrap();
        host(cache.heads(point).unwrap())
    };
    let index = |flat: usize| (flat / SEQ_LEN % SEQ_LEN, flat % SEQ_LEN);
    for (flat, weight) in pattern(Edit::mask_keys(1, Positions::only([2, 3]))).into_iter().enumerate() {
        let (query, key) = index(flat);
        let seen = key <= query && query - key < 5 && (query == key || ![2, 3].contains(&key));
        assert_eq!(weight > 0.0, seen, "{query} {key}");
    }
    // Equal scores everywhere: even attention to all keys that a query sees.
    for (flat, weight) in pattern(Edit::zero(Hook::AttnScores.at(1))).into_iter().enumerate() {
        let (query, key) = index(flat);
        let expected = if key <= query && query - key < 5 { 1.0 / 5.min(query + 1) as f32 } else { 0.0 };
        assert!((weight - expected).abs() < 1e-6, "{query} {key}: {weight}");
    }
}

#[test]
fn layers_and_ids_that_do_not_exist_are_errors() {
    let (checkpoint, device) = (checkpoint("gpt2"), Device::flex());
    let refused = CoreError::LayerOutOfRange { layer: 3, n_layers: 3 };
    let streamed = super::checkpoint("gpt2").stream(&device).unwrap();
    for largest_tensor_bytes in [128 << 20, 1 << 10] {
        let model = checkpoint
            .load_with(&LoadOptions::default().with_largest_tensor_bytes(largest_tensor_bytes), &device)
            .unwrap();
        let resid = Tensor::zeros([1, 2, model.d_model()], &device);
        let run = |model: &dyn ResidualModel| model.block(Site { slot: 0, layer: 3 }, resid.clone(), &mut NoTap);
        assert_eq!(run(&model).map(|_| ()), Err(refused.clone()));
        assert_eq!(run(&streamed).map(|_| ()), Err(refused.clone()));
        assert_eq!(model.w_out(3).map(|_| ()), Err(refused.clone()));
        let embed = |ids: [[i32; 2]; 1]| model.embed(Tensor::from_data(ids, &device)).map(|_| ());
        assert_eq!(embed([[0, 96]]), Err(CoreError::TokenOutOfRange { id: 96, d_vocab: 96 }));
        assert_eq!(embed([[-1, 0]]), Err(CoreError::TokenOutOfRange { id: -1, d_vocab: 96 }));
        let long = model.embed(Tensor::zeros([1, 25], &device)).map(|_| ());
        assert_eq!(long, Err(CoreError::WindowTooLong { seq_len: 25, n_ctx: 24 }));
    }
}

#[test]
fn a_layer_that_can_no_longer_be_read_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(checkpoint("gpt2").path().join(file), directory.path().join(file)).unwrap();
    }
    let model = Checkpoint::open(directory.path()).unwrap().stream(&Device::flex()).unwrap();
    // The weights are overwritten in place: values that were finite no longer are.
    let weights = directory.path().join("model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let broken = [&bytes[..header], &vec![0xff; bytes.len() - header]].concat();
    let file = std::fs::OpenOptions::new().write(true).open(&weights).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &broken, 0).unwrap();
    let resid = Tensor::zeros([1, 2, model.d_model()], &Device::flex());
    let failed = model.block(Site { slot: 0, layer: 1 }, resid, &mut NoTap).map(|_| ()).unwrap_err();
    let CoreError::LayerFailed { layer: 1, reason } = failed else { panic!("{failed}") };
    assert!(reason.contains("not finite"), "{reason}");
}
