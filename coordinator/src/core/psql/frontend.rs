//! Messages of SQL clients, read strictly: every length is checked before it is used, and nothing may be left over.

use aquifer_shared::base::limits::SQL_VALUES_MAX;

/// What a client opens a connection with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Opening {
    /// It wants TLS.
    Tls,
    /// It wants another encryption, which is not offered.
    Gss,
    /// It wants the statement of another connection to be left alone.
    Cancel {
        /// Number of the connection.
        number: i32,
        /// What only that connection's client knows.
        key: i32,
    },
    /// It wants to speak.
    Startup {
        /// Minor version of the protocol.
        minor: u16,
        /// Names and values.
        parameters: Vec<(String, String)>,
    },
}

/// What a client says from then on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Frontend {
    /// Statements, to be carried out at once.
    Query(String),
    /// A statement to keep.
    Parse {
        /// Its name; empty for the one without.
        name: String,
        /// Its text.
        text: String,
        /// Types of its parameters; 0 for what the statement makes of them.
        types: Vec<u32>,
    },
    /// Values for a statement that is kept.
    Bind(Bind),
    /// What are its parameters and columns?
    Describe(Target),
    /// Carry it out.
    Execute {
        /// Which.
        portal: String,
        /// Rows at most; 0 for all.
        rows_max: u32,
    },
    /// Forget it.
    Close(Target),
    /// Send what there is.
    Flush,
    /// An end of a group of messages.
    Sync,
    /// Goodbye.
    Terminate,
    /// Part of a proof of who it is. Never shown.
    Proof(Proof),
    /// Data for a `COPY` that nobody started.
    Copy,
}

/// Bytes of a proof; `Debug` hides them.
#[derive(Clone, Eq, PartialEq)]
pub struct Proof(pub Vec<u8>);

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<proof>")
    }
}

/// A kept statement, or one with its values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// A statement.
    Statement(String),
    /// A statement with its values.
    Portal(String),
}

/// Values for a statement that is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bind {
    /// The name of both together.
    pub portal: String,
    /// The statement.
    pub statement: String,
    /// Whether values are binary: none, one for all, or one for each.
    pub formats: Vec<bool>,
    /// The values.
    pub values: Vec<Option<Vec<u8>>>,
    /// Whether results are wanted in binary: none, one for all, or one for each.
    pub result_formats: Vec<bool>,
}

/// A message that is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a message of the client cannot be read")]
pub struct Malformed;

type Read<T> = Result<T, Malformed>;

impl Opening {
    /// Reads the first message, without its length.
    ///
    /// # Errors
    ///
    /// It is not one of protocol 3.
    pub fn read(body: &[u8]) -> Read<Self> {
        let mut body = Bytes(body);
        let code = body.i32()?;
        let opening = match code {
            80_877_103 => Self::Tls,
            80_877_104 => Self::Gss,
            80_877_102 => Self::Cancel {
                number: body.i32()?,
                key: body.i32()?,
            },
            _ if code >> 16 == 3 => Self::Startup {
                minor: (code & 0xffff) as u16,
                parameters: body.parameters()?,
            },
            _ => return Err(Malformed),
        };
        body.end(opening)
    }
}

impl Frontend {
    /// Reads a message: its letter, and what follows its length.
    ///
    /// # Errors
    ///
    /// An unknown letter, or a body that is not one of this message.
    pub fn read(letter: u8, body: &[u8]) -> Read<Self> {
        let mut body = Bytes(body);
        let message = match letter {
            b'Q' => Self::Query(body.text()?),
            b'P' => Self::Parse {
                name: body.text()?,
                text: body.text()?,
                types: body.many(|body| body.i32().map(i32::cast_unsigned))?,
            },
            b'B' => Self::Bind(Bind {
                portal: body.text()?,
                statement: body.text()?,
                formats: body.many(Bytes::format)?,
                values: body.many(Bytes::value)?,
                result_formats: body.many(Bytes::format)?,
            }),
            b'D' => Self::Describe(body.target()?),
            b'E' => Self::Execute {
                portal: body.text()?,
                rows_max: u32::try_from(body.i32()?).unwrap_or(0),
            },
            b'C' => Self::Close(body.target()?),
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'X' => Self::Terminate,
            b'p' => Self::Proof(Proof(body.rest())),
            b'd' | b'c' | b'f' => {
                body.rest();
                Self::Copy
            }
            _ => return Err(Malformed),
        };
        body.end(message)
    }
}

/// The first part of a proof: the mechanism, and what it says.
///
/// # Errors
///
/// Lengths that do not fit.
pub fn sasl_initial(body: &[u8]) -> Read<(&str, &[u8])> {
    let length = body.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
    let mechanism = str::from_utf8(&body[..length]).map_err(|_| Malformed)?;
    let (size, data) = body[length + 1..].split_first_chunk().ok_or(Malformed)?;
    if usize::try_from(i32::from_be_bytes(*size)) != Ok(data.len()) {
        return Err(Malformed);
    }
    Ok((mechanism, data))
}

/// What is left of a message.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take(&mut self, length: usize) -> Read<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn i32(&mut self) -> Read<i32> {
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(i32::from_be_bytes(bytes))
    }

    fn u16(&mut self) -> Read<u16> {
        let bytes = self.take(2)?.try_into().map_err(|_| Malformed)?;
        Ok(u16::from_be_bytes(bytes))
    }

    fn text(&mut self) -> Read<String> {
        let length = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
        let text = self.take(length + 1)?;
        let text = str::from_utf8(&text[..length]).map_err(|_| Malformed)?;
        Ok(text.to_owned())
    }

    fn parameters(&mut self) -> Read<Vec<(String, String)>> {
        let mut found = Vec::new();
        loop {
            let name = self.text()?;
            if name.is_empty() {
                return Ok(found);
            }
            found.push((name, self.text()?));
        }
    }

    fn many<T>(&mut self, one: impl Fn(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = usize::from(self.u16()?);
        if count > SQL_VALUES_MAX {
            return Err(Malformed);
        }
        (0..count).map(|_| one(self)).collect()
    }

    fn format(&mut self) -> Read<bool> {
        match self.u16()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn value(&mut self) -> Read<Option<Vec<u8>>> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                Ok(Some(self.take(length)?.to_owned()))
            }
        }
    }

    fn target(&mut self) -> Read<Target> {
        match self.take(1)? {
            b"S" => self.text().map(Target::Statement),
            b"P" => self.text().map(Target::Portal),
            _ => Err(Malformed),
        }
    }

    fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0).to_owned()
    }

    fn end<T>(self, message: T) -> Read<T> {
        if self.0.is_empty() {
            return Ok(message);
        }
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(letter: u8, body: &[u8], expected: Option<Frontend>) {
        assert_eq!(Frontend::read(letter, body).ok(), expected);
    }

    #[test]
    fn messages_are_read() {
        check(
            b'Q',
            b"SELECT 1\0",
            Some(Frontend::Query("SELECT 1".into())),
        );
        check(b'S', b"", Some(Frontend::Sync));
        check(
            b'D',
            b"Sa\0",
            Some(Frontend::Describe(Target::Statement("a".into()))),
        );
        check(
            b'E',
            b"\0\0\0\0\x05",
            Some(Frontend::Execute {
                portal: String::new(),
                rows_max: 5,
            }),
        );
    }

    #[test]
    fn statements_and_values_are_read() {
        let parse = Frontend::Parse {
            name: "s".into(),
            text: "x".into(),
            types: vec![25],
        };
        check(b'P', b"s\0x\0\0\x01\0\0\0\x19", Some(parse));
        let bind = Frontend::Bind(Bind {
            portal: String::new(),
            statement: "s".into(),
            formats: vec![true],
            values: vec![None, Some(b"ab".to_vec())],
            result_formats: vec![],
        });
        let bytes = b"\0s\0\0\x01\0\x01\0\x02\xff\xff\xff\xff\0\0\0\x02ab\0\0";
        check(b'B', bytes, Some(bind));
    }

    #[test]
    fn what_is_cut_or_longer_or_unknown_is_refused() {
        check(b'Q', b"SELECT 1", None);
        check(b'Q', b"SELECT 1\0\0", None);
        check(b'Q', b"\xff\0", None);
        check(b'S', b"x", None);
        check(b'D', b"Xa\0", None);
        check(b'P', b"s\0x\0\0\x02\0\0\0\x19", None);
        check(b'B', b"\0s\0\0\0\0\x01\x7f\xff\xff\xffa\0\0", None);
        check(b'B', b"\0s\0\0\x01\0\x02\0\0\0\0", None);
        check(b'?', b"", None);
    }

    #[test]
    fn connections_open() {
        let opening = |bytes: &[u8]| Opening::read(bytes).ok();
        assert_eq!(opening(&80_877_103_i32.to_be_bytes()), Some(Opening::Tls));
        let startup = [&196_608_i32.to_be_bytes()[..], b"user\0ada\0\0"].concat();
        let parameters = vec![("user".to_owned(), "ada".to_owned())];
        let expected = Opening::Startup {
            minor: 0,
            parameters,
        };
        assert_eq!(opening(&startup), Some(expected));
        assert_eq!(opening(&startup[..startup.len() - 1]), None);
        assert_eq!(opening(&131_072_i32.to_be_bytes()), None, "protocol 2");
        assert_eq!(opening(b"GET / HTTP/1.1"), None);
    }

    #[test]
    fn proofs_begin_with_their_mechanism() {
        let first = sasl_initial(b"SCRAM\0\0\0\0\x02ab");
        assert_eq!(first, Ok(("SCRAM", &b"ab"[..])));
        for bad in [
            &b"SCRAM"[..],
            b"SCRAM\0\0\0\0\x03ab",
            b"SCRAM\0\xff\xff\xff\xff",
        ] {
            assert_eq!(sasl_initial(bad), Err(Malformed));
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_or_refused(letter: u8, body: Vec<u8>) {
            let _ = Frontend::read(letter, &body);
            let _ = Opening::read(&body);
            let _ = sasl_initial(&body);
        }
    }
}
