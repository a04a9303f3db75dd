//! Whether a device agrees with another one: [`SelfCheck`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use serde::Serialize;
use stratigraph_core::{NoTap, ResidualModel, Site, TokenWindows, transfers};
use stratigraph_probes::ProbeError;
use stratigraph_probes::metrics::Metrics;
use stratigraph_probes::readout::{Readout, Tiles};
use stratigraph_probes::scores::{Row, ScoreSink};

use crate::{DeviceError, Result, StudyError};

/// How far a device is from a reference in one block and in tiles of logits.
///
/// Both run the same small model with the same weights: its embedding, its first block, and a readout of the residual stream before the
/// block against the one after it, in tiles that divide neither its rows nor its vocabulary. Matrix products, attention, norms and
/// every reduction of a readout are covered, in sizes that are not powers of two.
///
/// ```
/// use burn::tensor::Device;
/// use stratigraph_models::DecoderConfig;
/// use stratigraph_study::SelfCheck;
///
/// let model = DecoderConfig::new(1, 24, 3, 101).init(0, &Device::flex())?;
/// let check = SelfCheck::run(&model, &model)?;
/// assert_eq!((check.block, check.readout), (0.0, 0.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SelfCheck {
    /// The largest difference of the residual stream after the block, as a fraction of its largest number.
    pub block: f64,
    /// The largest difference of KL divergence, entropy and loss: the mean difference over positions, as a fraction of the mean. For
    /// top-1 agreement, the fraction of positions where it differs.
    pub readout: f64,
    /// Seconds that the device took, with the compilation of its kernels.
    pub seconds: f64,
}

/// What is compared, and how far it may be off.
const METRICS: [(&str, f64); 4] =
    [("kl", SelfCheck::MOST), ("entropy_bits", SelfCheck::MOST), ("nll", SelfCheck::MOST), ("top1_agreement", 0.05)];

impl SelfCheck {
    /// Larger differences are a fault of the device, its driver or its kernels.
    pub const MOST: f64 = 1e-2;

    /// Larger differences come from products in less than f32, such as TF32.
    pub const OF_F32: f64 = 1e-4;

    /// Windows and tokens of each: an odd number of rows.
    const WINDOWS: [usize; 2] = [3, 37];

    /// Runs a model and a reference with the same weights, on another device.
    ///
    /// # Errors
    /// [`DeviceError::WrongNumbers`] when the model differs by more than [`SelfCheck::MOST`] or has a number that is not finite,
    /// [`DeviceError::Failed`] when it cannot be run or panics, and the errors of the reference.
    pub fn run(model: &dyn ResidualModel, reference: &dyn ResidualModel) -> Result<Self> {
        let [n, seq_len] = Self::WINDOWS;
        let d_vocab = reference.d_vocab();
        let ids: Vec<u32> = (0..n * seq_len).map(|i| (i * 7919 % d_vocab) as u32).collect();
        let windows = TokenWindows::new(&ids, seq_len)?;
        let expected = Measured::of(reference, &windows)?;
        let started = Instant::now();
        let found = catch_unwind(AssertUnwindSafe(|| Measured::of(model, &windows)));
        let found = match found {
            Ok(found) => found.map_err(fault)?,
            Err(panic) => return Err(DeviceError::Failed { reason: text(&*panic).to_owned() }.into()),
        };
        found.against(&expected, started.elapsed().as_secs_f64())
    }

    /// Whether products have the precision of f32; otherwise the device computes them in less.
    pub fn is_f32(&self) -> bool {
        self.block.max(self.readout) <= Self::OF_F32
    }
}

/// What an error of the model says of its device.
fn fault(error: StudyError) -> DeviceError {
    let reason = error.to_string();
    match error {
        StudyError::Probe(ProbeError::NotFinite { .. }) => DeviceError::WrongNumbers { reason },
        _ => DeviceError::Failed { reason },
    }
}

/// What a panic says.
fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next()).unwrap_or("it says no reason")
}

/// What one model gives.
struct Measured {
    /// The residual stream after the first block.
    resid: Vec<f32>,
    /// The metrics at each position.
    rows: Rows,
}

#[derive(Default)]
struct Rows(Vec<Vec<Option<f64>>>);

impl ScoreSink for Rows {
    fn row(&mut self, _: usize, _: usize, row: &Row) {
        self.0.push(row.to_vec());
    }
}

impl Measured {
    fn of(model: &dyn ResidualModel, windows: &TokenWindows) -> Result<Self> {
        let n = windows.n_sequences();
        let before = model.embed(windows.batch(0..n, &model.device()))?;
        let after = model.block(Site { slot: 0, layer: 0 }, before.clone(), &mut NoTap)?;
        let resid = transfers::read(after.clone()).try_into_vec_as::<f32>().expect("a float tensor reads as f32");
        let tiles = Tiles { rows: 50, vocab: model.d_vocab().div_ceil(3) };
        let metrics = Metrics::from_names(METRICS.map(|(name, _)| name))?;
        let mut rows = [Rows::default(), Rows::default()];
        let readout = Readout::new(model).with_metrics(metrics).with_tiles(tiles);
        readout.compare(windows, 0..n, vec![before, after], 1, &mut rows)?;
        let [rows, _] = rows;
        Ok(Self { resid, rows })
    }

    /// The differences from what is expected.
    fn against(&self, expected: &Self, seconds: f64) -> Result<SelfCheck> {
        let wrong = |what: &str, off: f64, most: f64| DeviceError::WrongNumbers {
            reason: format!(
                "{what} is off by {off:.1e} of its size, and {most:.0e} is the most that rounding explains"
            ),
        };
        let largest = expected.resid.iter().fold(0f32, |largest, x| largest.max(x.abs()));
        let differences = self.resid.iter().zip(&expected.resid).map(|(found, expected)| (found - expected).abs());
        // NaN is larger than any other difference.
        let farther = |most: f32, x: f32| if most.is_nan() || x <= most { most } else { x };
        let block = f64::from(differences.fold(0.0, farther) / largest);
        if !is_within(block, SelfCheck::MOST) {
            return Err(wrong("the residual stream after a block", block, SelfCheck::MOST).into());
        }
        let mut readout = 0.0;
        for (index, (name, most)) in METRICS.into_iter().enumerate() {
            let values = |rows: &Rows| rows.0.iter().map(|row| row[index].unwrap_or(0.0)).collect::<Vec<_>>();
            let (found, expected) = (values(&self.rows), values(&expected.rows));
            let total: f64 = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs()).sum();
            let size =
                if name == "top1_agreement" { found.len() as f64 } else { expected.iter().map(|x| x.abs()).sum() };
            let off = total / size;
            if !is_within(off, most) {
                return Err(wrong(&format!("the {name} of tiles of logits"), off, most).into());
            }
            readout = f64::max(readout, off);
        }
        Ok(SelfCheck { block, readout, seconds })
    }
}

/// False for NaN.
fn is_within(off: f64, most: f64) -> bool {
    off <= most
}
