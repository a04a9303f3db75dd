//! Input that cannot be read twice; what has been read is kept in a temporary file: [`Spool`].

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Input such as a pipe, of which what has been read lies in a temporary file. Readers of it share both.
#[derive(Clone)]
pub(crate) struct Spool(Arc<Mutex<Shared>>);

struct Shared {
    input: Box<dyn Read + Send>,
    file: File,
    /// Bytes in the file.
    n_bytes: u64,
    has_ended: bool,
}

impl Spool {
    /// Nothing is read yet.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub(crate) fn new(input: Box<dyn Read + Send>) -> io::Result<Self> {
        let shared = Shared { input, file: tempfile::tempfile()?, n_bytes: 0, has_ended: false };
        Ok(Self(Arc::new(Mutex::new(shared))))
    }

    fn with<T>(&self, run: impl FnOnce(&mut Shared) -> io::Result<T>) -> io::Result<T> {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A reader from the beginning.
    pub(crate) fn reader(&self) -> SpoolReader {
        SpoolReader { spool: self.clone(), at: 0 }
    }

    /// All bytes of the input, which is read to its end.
    pub(crate) fn len(&self) -> io::Result<u64> {
        self.with(|shared| {
            while !shared.has_ended {
                shared.fill(1 << 20)?;
            }
            Ok(shared.n_bytes)
        })
    }
}

impl Shared {
    /// Reads about `n` bytes more of the input.
    fn fill(&mut self, n: usize) -> io::Result<()> {
        let mut bytes = vec![0; n];
        let read = loop {
            match self.input.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        self.file.seek(SeekFrom::End(0))?;
        self.file.write_all(&bytes[..read])?;
        (self.n_bytes, self.has_ended) = (self.n_bytes + read as u64, read == 0);
        Ok(())
    }
}

/// A reader of a [`Spool`], from a place of its own.
pub(crate) struct SpoolReader {
    spool: Spool,
    at: u64,
}

impl Read for SpoolReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let at = self.at;
        let read = self.spool.with(|shared| {
            while shared.n_bytes <= at && !shared.has_ended {
                shared.fill(into.len().clamp(1, 1 << 16))?;
            }
            let left = shared.n_bytes.saturating_sub(at).min(into.len() as u64) as usize;
            shared.file.seek(SeekFrom::Start(at))?;
            shared.file.read(&mut into[..left])
        })?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for SpoolReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let outside = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the beginning");
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or_else(outside)?,
            SeekFrom::End(by) => self.spool.len()?.checked_add_signed(by).ok_or_else(outside)?,
        };
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts what is read of input without an end.
    struct Endless(Arc<Mutex<usize>>);

    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            *self.0.lock().unwrap() += into.len();
            into.fill(b'x');
            Ok(into.len())
        }
    }

    #[test]
    fn input_is_read_as_far_as_it_is_asked_for_and_again() {
        let count = Arc::new(Mutex::new(0));
        let spool = Spool::new(Box::new(Endless(count.clone()))).unwrap();
        for _ in 0..2 {
            let mut text = [0; 1000];
            spool.reader().read_exact(&mut text).unwrap();
            assert!(text.iter().all(|byte| *byte == b'x') && *count.lock().unwrap() <= 1 << 17);
        }
    }

    #[test]
    fn readers_have_places_of_their_own() {
        let spool = Spool::new(Box::new(&b"one two three"[..])).unwrap();
        let (mut a, mut b) = (spool.reader(), spool.reader());
        a.seek(SeekFrom::Start(8)).unwrap();
        let (mut end, mut all) = (String::new(), String::new());
        a.read_to_string(&mut end).unwrap();
        b.read_to_string(&mut all).unwrap();
        assert_eq!((end.as_str(), all.as_str(), spool.len().unwrap()), ("three", "one two three", 13));
        assert_eq!(a.seek(SeekFrom::End(-5)).unwrap(), 8);
    }
}
