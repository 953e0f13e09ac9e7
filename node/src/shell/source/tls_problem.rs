//! Why a TLS connection was not made, in fixed texts, for whichever client made it.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// What is wrong with the server's certificate or with TLS itself, if that is the cause anywhere in the chain.
pub(super) fn tls_problem(error: &(dyn Error + 'static)) -> Option<&'static str> {
    chain(error).find_map(|cause| cause.downcast_ref().map(explained))
}

/// The error and what caused it, also behind the errors of the operating system, which hide it.
pub(super) fn chain<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>();
        match inner.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn explained(error: &rustls::Error) -> &'static str {
    let rustls::Error::InvalidCertificate(problem) = error else {
        return "TLS with the server failed (is TLS on there?)";
    };
    match problem {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another host name"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet (is the clock right?)"
        }
        CertificateError::Revoked => "the server's certificate was revoked",
        _ => "the server's certificate is not trusted (name its authority in `ca_file`)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_told(error: impl Error + 'static, expected: Option<&str>) {
        let found = tls_problem(&error);
        match expected {
            Some(expected) => assert!(found.is_some_and(|text| text.contains(expected))),
            None => assert_eq!(found, None),
        }
    }

    fn bad(problem: CertificateError) -> io::Error {
        let inner = io::Error::other(rustls::Error::InvalidCertificate(problem));
        io::Error::new(io::ErrorKind::InvalidData, inner)
    }

    #[test]
    fn the_cause_is_found_behind_other_errors() {
        check_told(bad(CertificateError::UnknownIssuer), Some("not trusted"));
        check_told(bad(CertificateError::Expired), Some("expired"));
        check_told(
            bad(CertificateError::NotValidForName),
            Some("another host name"),
        );
        check_told(rustls::Error::DecryptError, Some("is TLS on there?"));
        check_told(io::Error::from(io::ErrorKind::ConnectionRefused), None);
    }
}
