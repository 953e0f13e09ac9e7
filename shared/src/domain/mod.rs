//! What the product is about: data contracts, law, private sums and their price, audits of it, secret sharing, the predictor, transparency logs and what
//! they record.
//!
//! `audit_bound`, `contract`, `history`, `law`, `sum`, `sharing` and `tlog` do not know each other; `predictor` may use `sum`, `question` may use `contract` and `sum`,
//! `pack` may use `history` and `tlog`; `facts` may use all of them.

pub mod audit_bound;
pub mod contract;
pub mod facts;
pub mod history;
pub mod law;
pub mod pack;
pub mod predictor;
pub mod question;
pub mod sharing;
pub mod sum;
pub mod tlog;
