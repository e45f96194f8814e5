//! Reading a recording. Nothing in the file is trusted: whatever is in it, memory is bounded, and what is handed out comes from frames
//! whose checksum was right.

use std::io::{self, BufRead, BufReader, Read};

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::{
    Fault, Header, Progress, ReadError, Record,
    format::{Line, MAX_FRAME, MAX_FRAME_LOG, PREFIX, SKIPPABLE_MAGIC, ZSTD_MAGIC},
};

/// How much is unpacked at a time.
const STEP: usize = 128 << 10;

/// Reads a recording from its beginning to its end.
pub struct Reader<R> {
    input: BufReader<R>,
    name: String,
    header: Header,
    decoder: Decoder<'static>,
    /// The frame at hand, and how much of it has been handed out.
    frame: Vec<u8>,
    at: usize,
    /// Bytes of the file taken.
    offset: u64,
    read: Progress,
    over: bool,
}

impl<R: Read> Reader<R> {
    /// Reads the header. `name` is what errors call the file.
    pub fn new(input: R, name: impl Into<String>) -> Result<Self, ReadError> {
        let name = name.into();
        let mut input = BufReader::new(input);
        match Self::begin(&mut input) {
            Ok((header, decoder, offset)) => Ok(Self {
                input,
                name,
                header,
                decoder,
                frame: Vec::new(),
                at: 0,
                offset,
                read: Progress { offset, ..Progress::default() },
                over: false,
            }),
            Err(fault) => Err(ReadError { name, fault, read: Progress::default() }),
        }
    }

    fn begin(input: &mut BufReader<R>) -> Result<(Header, Decoder<'static>, u64), Fault> {
        let mut prefix = [0; PREFIX];
        match fill(input, &mut prefix)? {
            0 => return Err(Fault::Empty),
            // Whatever else is so short is something else.
            n if n < PREFIX => return Err(Fault::NotARecording),
            _ => {}
        }
        let mut json = vec![0; Header::json_len(&prefix)?];
        if fill(input, &mut json)? < json.len() {
            return Err(Fault::Truncated);
        }
        let header = Header::decode(&json)?;
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(MAX_FRAME_LOG))?;
        Ok((header, decoder, (PREFIX + json.len()) as u64))
    }

    /// What the recording says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How much has been read.
    pub fn progress(&self) -> &Progress {
        &self.read
    }

    /// How much memory the frame at hand takes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.frame.capacity()
    }

    /// The next line; `None` at the end. After an error there is nothing more.
    pub fn record(&mut self) -> Result<Option<Record>, ReadError> {
        if self.over {
            return Ok(None);
        }
        match self.advance() {
            Ok(Some(record)) => {
                match &record {
                    Record::Snapshot(snapshot) => {
                        self.read.snapshots += 1;
                        self.read.until = Some(snapshot.time.clone());
                    }
                    Record::Event(_) => self.read.events += 1,
                    Record::End(_) => {}
                }
                Ok(Some(record))
            }
            Ok(None) => {
                self.over = true;
                Ok(None)
            }
            Err(fault) => {
                self.over = true;
                Err(ReadError { name: self.name.clone(), fault, read: self.read.clone() })
            }
        }
    }

    fn advance(&mut self) -> Result<Option<Record>, Fault> {
        loop {
            while self.at < self.frame.len() {
                let rest = &self.frame[self.at..];
                let len = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                let line = &rest[..len];
                self.at += (len + 1).min(rest.len());
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                let line: Line = serde_json::from_slice(line)
                    .map_err(|e| Fault::Corrupt(format!("a line that is no record: {e}")))?;
                if let Some(record) = line.record() {
                    return Ok(Some(record));
                }
            }
            self.read.offset = self.offset;
            if !self.next_frame()? {
                return Ok(None);
            }
        }
    }

    /// Unpacks the next frame; false at the end of the file.
    fn next_frame(&mut self) -> Result<bool, Fault> {
        self.frame.clear();
        self.at = 0;
        let mut magic = [0; 4];
        match fill(&mut self.input, &mut magic)? {
            0 => return Ok(false),
            n if n < magic.len() => return Err(Fault::Truncated),
            _ => self.offset += magic.len() as u64,
        }
        match u32::from_le_bytes(magic) {
            ZSTD_MAGIC => {
                self.unpack(&magic)?;
                self.read.frames += 1;
            }
            number if number & !0xF == SKIPPABLE_MAGIC => self.skip()?,
            _ => return Err(Fault::Corrupt("no frame begins where one should".to_owned())),
        }
        Ok(true)
    }

    fn skip(&mut self) -> Result<(), Fault> {
        let mut len = [0; 4];
        if fill(&mut self.input, &mut len)? < len.len() {
            return Err(Fault::Truncated);
        }
        let len = u64::from(u32::from_le_bytes(len));
        if io::copy(&mut (&mut self.input).take(len), &mut io::sink())? < len {
            return Err(Fault::Truncated);
        }
        self.offset += 4 + len;
        Ok(())
    }

    /// Unpacks the frame of which `magic` has been read. The decoder checks the checksum at its end.
    fn unpack(&mut self, magic: &[u8]) -> Result<(), Fault> {
        let corrupt = |e: io::Error| match e.to_string() {
            text if text.contains("too much memory") => Fault::TooLarge,
            text => Fault::Corrupt(text),
        };
        self.decoder.reinit().map_err(corrupt)?;
        let mut magic = Some(magic);
        loop {
            let room = STEP.min(MAX_FRAME - self.frame.len());
            self.frame.reserve_exact(room);
            let full = self.frame.capacity();
            let chunk = match magic {
                Some(magic) => magic,
                None => self.input.fill_buf()?,
            };
            let end_of_file = chunk.is_empty();
            let mut packed = InBuffer::around(chunk);
            let before = self.frame.len();
            let mut plain = OutBuffer::around_pos(&mut self.frame, before);
            let wanted = self.decoder.run(&mut packed, &mut plain).map_err(corrupt)?;
            let taken = packed.pos;
            if magic.is_some() {
                // The decoder keeps the beginning of a header until it has all of it.
                magic = None;
            } else {
                self.input.consume(taken);
                self.offset += taken as u64;
            }
            if wanted == 0 {
                return Ok(());
            }
            if self.frame.len() >= MAX_FRAME {
                return Err(Fault::TooLarge);
            }
            // Where there was no room, there may be more to be had without reading.
            if end_of_file && self.frame.len() < full {
                return Err(Fault::Truncated);
            }
        }
    }
}

/// Reads until `buffer` is full or the file ends; says how much there was.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
