//! Some positions of the residual stream, as sets of vectors: [`StreamSample`].

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use stratigraph_core::{Hook, Site, Tap, TokenWindows};

use crate::Observer;

/// Keeps, of each place in the residual stream (before each layer, and after the last), the same positions of a corpus:
/// some, evenly spaced over all, and the last of windows.
pub struct StreamSample {
    skip_first: usize,
    stride: usize,
    /// Windows from one whose last position is kept to the next.
    last_stride: usize,
    seq_len: usize,
    sequences: Range<usize>,
    n_places: usize,
    spaced: Vec<Rows>,
    last: Vec<Rows>,
}

#[derive(Default)]
struct Rows {
    width: usize,
    values: Vec<f32>,
}

impl StreamSample {
    /// Of the positions of `windows` but the first `skip_first` of each, at most `at_most`, and of the last ones as many.
    ///
    /// # Panics
    /// When no position is left or none is to be kept.
    pub fn new(windows: &TokenWindows, skip_first: usize, at_most: usize) -> Self {
        assert!(skip_first < windows.seq_len() && at_most > 0, "no position would be kept");
        let positions = windows.n_sequences() * (windows.seq_len() - skip_first);
        Self {
            skip_first,
            stride: positions.div_ceil(at_most),
            last_stride: windows.n_sequences().div_ceil(at_most),
            seq_len: windows.seq_len(),
            sequences: 0..0,
            n_places: 0,
            spaced: Vec::new(),
            last: Vec::new(),
        }
    }

    /// The evenly spaced positions of each place, `[row, d_model]`.
    pub fn spaced(&self, device: &Device) -> Vec<Tensor<2>> {
        self.spaced.iter().map(|rows| rows.to_tensor(device)).collect()
    }

    /// The last positions of each place, `[window, d_model]`.
    pub fn last(&self, device: &Device) -> Vec<Tensor<2>> {
        self.last.iter().map(|rows| rows.to_tensor(device)).collect()
    }

    fn keep(&mut self, stream: &Tensor<3>) {
        let [_, pos, width] = stream.dims();
        if self.spaced.len() <= self.n_places {
            self.spaced.push(Rows { width, values: Vec::new() });
            self.last.push(Rows { width, values: Vec::new() });
        }
        let values: Vec<f32> = stream.clone().try_into_vec_as().expect("any float");
        let counted = self.seq_len - self.skip_first;
        for (row, values) in values.chunks(width).enumerate() {
            let (sequence, position) = (self.sequences.start + row / pos, row % pos);
            let index = position.checked_sub(self.skip_first).map(|position| sequence * counted + position);
            if index.is_some_and(|index| index.is_multiple_of(self.stride)) {
                self.spaced[self.n_places].values.extend_from_slice(values);
            }
            if position + 1 == pos && sequence.is_multiple_of(self.last_stride) {
                self.last[self.n_places].values.extend_from_slice(values);
            }
        }
        self.n_places += 1;
    }
}

impl Rows {
    fn to_tensor(&self, device: &Device) -> Tensor<2> {
        let rows = self.values.len() / self.width;
        Tensor::from_data(TensorData::new(self.values.clone(), [rows, self.width]), device)
    }
}

impl Tap for StreamSample {
    fn hooks(&self) -> Vec<Hook> {
        vec![Hook::ResidPre]
    }

    fn wants(&self, _site: Site, hook: Hook) -> bool {
        hook == Hook::ResidPre
    }

    fn visit(&mut self, _site: Site, _hook: Hook, activation: Tensor<3>) -> Tensor<3> {
        self.keep(&activation);
        activation
    }
}

impl Observer for StreamSample {
    fn begin(&mut self, sequences: Range<usize>) {
        self.sequences = sequences;
        self.n_places = 0;
    }

    fn end(&mut self, resid: &Tensor<3>) {
        self.keep(resid);
    }
}
