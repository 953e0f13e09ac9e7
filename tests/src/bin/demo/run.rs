//! The demonstration from the first key to the last table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aquifer_shared::base::units::{Epsilon, MicroRho};
use aquifer_shared::domain::predictor::plan::clip_for;
use aquifer_shared::shell::noise::OpenDpNoise;
use aquifer_shared::shell::report::{note, print};
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::{Company, Customer};
use aquifer_tests::exact::{auc, log_loss};
use aquifer_tests::measured::{Measured, Model, price, slot_seconds};
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{Report, command, run};
use aquifer_tests::study::Study;
use aquifer_tests::synthetic::CUSTOMERS;
use aquifer_tests::training::{Encoded, Quality};
use serde_json::{Value, json};

use crate::options::Options;
use crate::show::{self, Progress, mib};
use crate::stop::Stop;

const STUDY: &str = "churn";

/// Runs it.
pub fn demo(options: &Options, stop: &Stop) -> Result<()> {
    let mut progress = Progress::start();
    let company = match &options.dataset {
        None => Company::synthetic(options.seed_data, CUSTOMERS),
        Some(path) => Company::read(path, &options.split)?,
    };
    ensure!(
        company.units.len() > 1,
        "found {} unit, expected several",
        company.units.len()
    );
    progress.step(&format!(
        "{}: {} customers of {} units",
        company.name,
        company.customers.len(),
        company.units.len()
    ));
    let urho = price(options.epsilon, options.delta)?;
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    let mut cluster = Cluster::start(folder.path())?;
    stop.set(cluster.watcher().stopper());
    stop.check()?;
    progress.step("coordinator: certificate authority, keys, store; the operator has joined");
    cluster.add_units(
        &company,
        &Policy {
            cap: urho,
            ..Policy::default()
        },
    )?;
    progress.step("every unit has redeemed its ticket and mapped its table");
    cluster.start_nodes()?;
    progress.step("all nodes are connected");
    let study = Study {
        name: STUDY,
        epsilon: options.epsilon,
        delta: options.delta,
        trust: &options.trust,
        more: "",
    };
    let measured = Measured::run(&cluster, STUDY, &study.file(&company), |status| {
        progress.status(status)
    })?;
    let seconds_total = progress.seconds();
    let model = measured.model.as_ref().with_context(|| {
        let reason = measured.status["status"]["reason"]
            .as_str()
            .unwrap_or("no reason given");
        format!("the study ended without a model: {reason}")
    })?;
    progress.step(
        "released; comparing with exact figures, which only the owner of all the data can compute",
    );
    let compared = Compared::of(&company, model, urho, options.epsilon, stop)?;
    show::quality(&compared.rows())?;
    let spent = spent(&cluster)?;
    print(&format!(
        "\nspent at every unit: {spent} micro-rho, epsilon {} at delta {:e}; private evaluation: {}\n",
        options.epsilon,
        options.delta,
        model.private_auc().map_or_else(
            || model.private_reason().unwrap_or_default(),
            |auc| format!("AUC {auc:.4}")
        ),
    ))?;
    predict(&cluster, &company)?;
    stop.check()?;
    if !options.keep {
        cluster.stop()?;
    }
    let report = deployment(&cluster);
    show::usage(&report)?;
    let slots = measured.sums() as f64 * slot_seconds(&company);
    print(&format!(
        "\nstudy: {:.2} s from submission to release, of which {slots:.2} s are {} answer slots; {:.0} kB a node on the wire\n",
        measured.seconds,
        measured.sums(),
        measured.bytes as f64 / 1e3 / company.units.len() as f64,
    ))?;
    if let Some(path) = &options.json {
        let mut figures = figures(options, &company, &measured, &compared, &report);
        figures["rho_micro"] = urho.0.into();
        figures["rho_micro_spent"] = spent.into();
        figures["seconds_slots"] = slots.into();
        figures["seconds_total"] = seconds_total.into();
        write_json(path, &figures)?;
    }
    if options.keep {
        return keep(cluster, folder.keep().as_path());
    }
    Ok(())
}

fn write_json(path: &Path, figures: &Value) -> Result<()> {
    let text = format!("{figures:#}\n");
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Exact quality of the shared model, of the truth, and of every unit alone.
struct Compared {
    shared: Quality,
    best: Option<Quality>,
    alone: Vec<(String, Option<Quality>)>,
}

impl Compared {
    fn of(
        company: &Company,
        model: &Model,
        urho: MicroRho,
        epsilon: f64,
        stop: &Stop,
    ) -> Result<Self> {
        let encoded = Encoded::of(company)?;
        let shared = encoded.quality(&model.trained)?;
        let truth = |customer: &Customer| Some((customer.truth?, company.is_positive(customer)));
        let best = company.held_out().map(truth).collect::<Option<Vec<_>>>();
        let best = best.and_then(|shown| {
            Some(Quality {
                auc: auc(&shown)?,
                log_loss: log_loss(&shown)?,
            })
        });
        let clip = clip_for(Epsilon::try_from(epsilon)?);
        let mut alone = Vec::new();
        for (unit, name) in company.units.iter().enumerate() {
            stop.check()?;
            // Too little data to learn from is an answer here, not a failure.
            let trained = encoded.train(&[unit], urho, clip, &mut OpenDpNoise).ok();
            let quality = trained
                .map(|trained| encoded.quality(&trained))
                .transpose()?;
            alone.push((name.clone(), quality));
        }
        Ok(Self {
            shared,
            best,
            alone,
        })
    }

    fn rows(&self) -> Vec<(String, Option<Quality>)> {
        let alone = self
            .alone
            .iter()
            .map(|(name, quality)| (format!("{name} alone, private"), *quality));
        let shared = ("all units together, private".to_owned(), Some(self.shared));
        let best = self
            .best
            .map(|best| ("best possible (the truth)".to_owned(), Some(best)));
        best.into_iter().chain([shared]).chain(alone).collect()
    }
}

/// The largest spend of any node, from what each says about itself.
fn spent(cluster: &Cluster) -> Result<u64> {
    let mut largest = 0;
    for node in &cluster.nodes {
        let printed =
            run(command("aquifer-node", ["budget", "--json", "--dir"]).arg(&node.folder))?;
        let printed = printed.success().context("aquifer-node budget")?;
        let budget: Value = serde_json::from_str(&printed)?;
        let spent = budget["per_contract"]["spent"]["rho_micro"].as_u64();
        largest = largest.max(spent.context("the budget says what was spent")?);
    }
    Ok(largest)
}

/// One prediction with its explanation, as an analyst asks for it.
fn predict(cluster: &Cluster, company: &Company) -> Result<()> {
    let customer = company
        .held_out()
        .find(|customer| company.is_positive(customer));
    let customer = customer.context("somebody in the hold-out has the label")?;
    let columns = company.contract.columns.iter().zip(&customer.values);
    let known = columns
        .filter(|(_, value)| !value.is_empty())
        .map(|(column, value)| {
            let number = if column.shape().0 {
                value.parse::<f64>().ok()
            } else {
                None
            };
            (
                column.name.clone(),
                number.map_or_else(|| Value::from(value.as_str()), Value::from),
            )
        });
    let input = Value::Object(known.collect()).to_string();
    let arguments = [
        "predict",
        "--model",
        STUDY,
        "--input",
        "hypothetical",
        "--explain",
        &input,
    ];
    let printed = cluster
        .aquifer(arguments)?
        .success()
        .context("aquifer predict")?;
    print(&format!(
        "\none prediction: aquifer predict --model {STUDY} --input hypothetical --explain '{input}'\n{printed}"
    ))
}

/// What the deployment used, without the operator's watching command.
fn deployment(cluster: &Cluster) -> Report {
    let mut report = cluster.watcher().report();
    report.each.remove(aquifer_tests::study::WATCH);
    report
}

fn figures(
    options: &Options,
    company: &Company,
    measured: &Measured,
    compared: &Compared,
    report: &Report,
) -> Value {
    let model = measured.model.as_ref();
    let alone: BTreeMap<&str, Option<f64>> = compared
        .alone
        .iter()
        .map(|(name, quality)| (name.as_str(), quality.map(|quality| quality.auc)))
        .collect();
    let pss: BTreeMap<&str, f64> = report
        .each
        .iter()
        .map(|(name, usage)| (name.as_str(), mib(usage.pss_peak)))
        .collect();
    json!({
        "dataset": company.name,
        "units": company.units.len(),
        "auc": compared.shared.auc,
        "log_loss": compared.shared.log_loss,
        "auc_best_possible": compared.best.map(|best| best.auc),
        "log_loss_best_possible": compared.best.map(|best| best.log_loss),
        "auc_alone": alone,
        "auc_private_evaluation": model.and_then(Model::private_auc),
        "auc_private_evaluation_reason": model.and_then(Model::private_reason),
        "epsilon": options.epsilon,
        "delta": options.delta,
        "trust": options.trust,
        "sums": measured.sums(),
        "seconds_study": measured.seconds,
        "cpu_seconds": report.cpu_seconds(),
        "bytes_per_node": measured.bytes / company.units.len() as u64,
        "pss_mib": pss,
        "pss_mib_together": mib(report.pss_peak_together),
    })
}

/// Leaves the deployment alone and says how to reach it.
fn keep(mut cluster: Cluster, folder: &Path) -> Result<()> {
    let pids: Vec<String> = cluster.pids().iter().map(u32::to_string).collect();
    let operator = cluster.operator.clone();
    note(&format!(
        "\nleft running in {}\n  ask it:   aquifer model list --dir {}\n  stop it:  kill {}; rm -r {}",
        folder.display(),
        operator.display(),
        pids.join(" "),
        folder.display(),
    ));
    cluster.leave();
    Ok(())
}
