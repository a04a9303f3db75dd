//! The check of a device against another, with devices that are right, and models that compute what a faulty device would.

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use stratigraph_core::{CoreError, ResidualModel, Site, Tap};
use stratigraph_models::{Decoder, DecoderConfig};
use stratigraph_study::{Backend, DeviceError, SelfCheck, StudyError};
use stratigraph_testing::{device, devices};

fn model(device: &Device) -> Decoder {
    DecoderConfig::new(1, 72, 6, 517).with_heads(6, 2, 12).with_d_mlp(203).init(25, device).unwrap()
}

/// What is wrong with a device.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// A product leaves out its last rows.
    Block,
    /// A block gives NaN in one place.
    NaN,
    /// The last column of each tile of logits is not written.
    Tile,
    /// A kernel cannot be compiled.
    Panic,
    /// Products have about the precision of TF32.
    Coarse,
}

struct Faulty(Decoder, Fault);

impl ResidualModel for Faulty {
    rest_of!(0: shape device embed final_norm);

    fn block(&self, site: Site, resid: Tensor<3>, tap: &mut dyn Tap) -> Result<Tensor<3>, CoreError> {
        let before = resid.clone();
        let after = self.0.block(site, resid, tap)?;
        let [batch, pos, width] = after.dims();
        let place = [batch - 1..batch, pos - 1..pos, 0..width];
        let last = before.slice(place.clone());
        let with_last = |row: Tensor<3>| after.clone().slice_assign(place, row);
        Ok(match self.1 {
            Fault::Block => with_last(last),
            Fault::NaN => with_last(last * f32::NAN),
            Fault::Panic => panic!("a kernel cannot be compiled\nbacktrace"),
            Fault::Coarse => after * (1.0 + 5e-4),
            Fault::Tile => after,
        })
    }

    fn unembed(&self, normed: Tensor<2>, vocab: Range<usize>) -> Result<Tensor<2>, CoreError> {
        let logits = self.0.unembed(normed, vocab)?;
        let [rows, width] = logits.dims();
        Ok(match self.1 {
            Fault::Tile => {
                logits.slice_assign([0..rows, width - 1..width], Tensor::full([rows, 1], 4.0, &self.device()))
            }
            _ => logits,
        })
    }
}

#[test]
fn every_device_computes_what_flex_does() {
    let reference = model(&device());
    for on in devices() {
        let check = SelfCheck::run(&model(&on.device), &reference).unwrap();
        println!("{}: {check:?}", on.backend);
        assert!(check.is_f32(), "{}: {check:?}", on.backend);
        if on.backend == Backend::Flex {
            assert_eq!((check.block, check.readout), (0.0, 0.0));
            assert!(check.seconds < 1.0, "{check:?}");
        }
    }
}

#[test]
fn a_device_with_a_fault_is_refused_with_the_fault() {
    let reference = model(&device());
    let check = |fault| SelfCheck::run(&Faulty(model(&device()), fault), &reference);
    for (fault, part) in [
        (Fault::Block, "the residual stream after a block is off by"),
        (Fault::NaN, "is NaN"),
        (Fault::Tile, "of tiles of logits is off by"),
    ] {
        let error = check(fault).unwrap_err();
        assert!(matches!(error, StudyError::Device(DeviceError::WrongNumbers { .. })), "{fault:?}: {error}");
        let text = error.to_string();
        assert!(text.starts_with("the device computes other numbers than flex: ") && text.contains(part), "{text}");
    }
    let error = check(Fault::Panic).unwrap_err();
    assert!(matches!(error, StudyError::Device(DeviceError::Failed { .. })), "{error:?}");
    assert_eq!(error.to_string(), "the device failed: a kernel cannot be compiled");
}

#[test]
fn less_than_f32_is_told_and_not_refused() {
    let reference = model(&device());
    let check = SelfCheck::run(&Faulty(model(&device()), Fault::Coarse), &reference).unwrap();
    assert!(!check.is_f32() && check.block > 1e-4 && check.block < 1e-3, "{check:?}");
}
