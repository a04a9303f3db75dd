//! What a block, a tile of logits and a batch of a sweep ask of a graphics adapter: the table in docs/performance.md. Kernel launches
//! are held from above: burn chooses kernels by timing them, and some take a launch or two more for a product, so counts differ from
//! machine to machine. All launches of the process are counted, so this is a program of its own.
#![cfg(feature = "wgpu-unfused")]

use stratigraph_core::{NoTap, ResidualModel, Site, TokenWindows};
use stratigraph_models::{Decoder, DecoderConfig};
use stratigraph_probes::readout::Readout;
use stratigraph_probes::scores::Scores;
use stratigraph_study::{Backend, DeviceWork, Study};
use stratigraph_surgery::Sweep;
use stratigraph_testing::{devices, skipped};

const SEQ_LEN: usize = 16;
const WINDOWS: usize = 2;
/// After some, every kernel is chosen.
const RUNS: usize = 5;

#[test]
fn a_sweep_asks_little_of_a_device() {
    let Some(on) = devices().into_iter().find(|on| on.backend == Backend::Wgpu) else {
        return skipped("there is no graphics adapter");
    };
    let config = DecoderConfig::new(3, 64, 4, 500).with_heads(4, 2, 16).with_d_mlp(96);
    let model = config.init(0, &on.device).unwrap();
    let ids: Vec<u32> = (0..WINDOWS * SEQ_LEN).map(|i| (i * 7919 % 500) as u32).collect();
    let windows = TokenWindows::new(&ids, SEQ_LEN).unwrap();
    // The first runs compile kernels and choose among them, by launches of their own.
    let parts: [Part; 3] = [block, tile, sweep];
    let fewest = |part: Part| (0..RUNS).map(|_| part(&model, &windows)).min_by_key(|work| work.launches).unwrap();
    let counted = parts.map(fewest);
    // In the sweep the token ids go to the device beside the places of next tokens. Its launches are those of five calls of a
    // block and of the tiles.
    let expected =
        [("block", [0, 0, 0], [34, 9]), ("tile", [1, 1, 0], [11, 2]), ("sweep", [2, 1, 0], [189, 5 * 9 + 6])];
    for ((name, expected, [launches, products]), work) in expected.into_iter().zip(counted) {
        let most = launches + 2 * products;
        println!("{name}: {work:?}");
        let is_fused = cfg!(feature = "wgpu");
        assert!(work.launches > 0 && (work.launches <= most || !is_fused), "{name}: {work:?}, at most {most} launches");
        assert_eq!([work.uploads, work.read_backs, work.flushes], expected, "{name}: uploads, read-backs, flushes");
    }
}

type Part = fn(&Decoder, &TokenWindows) -> DeviceWork;

fn block(model: &Decoder, windows: &TokenWindows) -> DeviceWork {
    let resid = model.embed(windows.batch(0..WINDOWS, &model.device())).unwrap();
    DeviceWork::of(&model.device(), || model.block(Site { slot: 0, layer: 0 }, resid, &mut NoTap).unwrap()).1
}

/// Two streams of one tile, a clean one and a changed one.
fn tile(model: &Decoder, windows: &TokenWindows) -> DeviceWork {
    let clean = model.embed(windows.batch(0..WINDOWS, &model.device())).unwrap();
    let changed = clean.clone() * 2.0 + 1.0;
    let readout = Readout::new(model);
    let mut scores = [Scores::default(), Scores::default()];
    DeviceWork::of(&model.device(), || {
        readout.compare(windows, 0..WINDOWS, vec![clean, changed], 0, &mut scores).unwrap()
    })
    .1
}

/// All deletions and swaps: one batch.
fn sweep(model: &Decoder, windows: &TokenWindows) -> DeviceWork {
    let study = Study::new(model).add(Sweep::delete()).add(Sweep::swap());
    DeviceWork::of(&model.device(), || study.run(windows).unwrap()).1
}
