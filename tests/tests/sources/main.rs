//! Customers from files, servers and stores: `aquifer-node check` on real PostgreSQL and S3 servers, good and bad.

#[cfg(test)]
mod certificates;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod files;
#[cfg(test)]
mod nonsense;
#[cfg(test)]
mod orders;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod released;
#[cfg(test)]
mod s3;
#[cfg(test)]
mod s3_server;
#[cfg(test)]
mod server;
#[cfg(test)]
mod unit;
