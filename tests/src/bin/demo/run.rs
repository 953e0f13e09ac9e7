//! The demonstration from the first key to the last table.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aquifer_shared::base::units::MicroRho;
use aquifer_shared::shell::report::{note, print};
use aquifer_tests::cluster::Cluster;
use aquifer_tests::company::Company;
use aquifer_tests::measured::{Measured, Model, cap, price, slot_seconds};
use aquifer_tests::policy::Policy;
use aquifer_tests::processes::{Report, command, program, run};
use aquifer_tests::study::Study;
use aquifer_tests::synthetic::CUSTOMERS;
use serde_json::{Value, json};

use crate::compare::Compared;
use crate::options::Options;
use crate::show::{self, Progress, mib};
use crate::stop::Stop;

const STUDY: &str = "churn";

/// Runs it.
pub fn demo(options: &Options, stop: &Stop) -> Result<()> {
    let mut progress = Progress::start();
    let company = company(options)?;
    let (customers, units) = (company.customers.len(), company.units.len());
    progress.step(&format!(
        "{}: {customers} customers of {units} units",
        company.name
    ));
    let urho = price(options.epsilon, options.delta)?;
    let folder = tempfile::Builder::new().prefix("aquifer-").tempdir()?;
    let mut cluster = deploy(&company, cap(urho), folder.path(), &progress, stop)?;
    let study = Study {
        name: STUDY,
        epsilon: options.epsilon,
        delta: options.delta,
        trust: options.trust.as_deref(),
        more: "",
    };
    let measured = Measured::run(&cluster, STUDY, &study.file(&company), |status| {
        progress.status(status)
    })?;
    let model = measured.model.as_ref().with_context(|| {
        let reason = measured.status["status"]["reason"].as_str();
        format!(
            "the study ended without a model: {}",
            reason.unwrap_or("no reason given")
        )
    })?;
    progress.step(
        "released; comparing with exact figures, which only the owner of all the data can compute",
    );
    let compared = Compared::of(&company, model, urho, options.epsilon, stop)?;
    show::quality(&compared.rows())?;
    let spent = spent(&cluster)?;
    print(&format!(
        "\nspent at every unit: {spent} micro-rho, epsilon {} at delta {:e}, {}; private evaluation: {}\n",
        options.epsilon,
        options.delta,
        trust(model),
        private_evaluation(model),
    ))?;
    predict(&cluster, &company, &measured.which)?;
    stop.check()?;
    if !options.keep {
        cluster.stop()?;
    }
    let report = deployment(&cluster);
    show::usage(&report)?;
    let slots = measured.sums() as f64 * slot_seconds(&company);
    show::study(&measured, slots, units)?;
    if let Some(path) = &options.json {
        let mut figures = figures(options, &company, &measured, &compared, &report);
        figures["rho_micro"] = urho.0.into();
        figures["rho_micro_spent"] = spent.into();
        figures["seconds_slots"] = slots.into();
        figures["seconds_total"] = progress.seconds().into();
        write_json(path, &figures)?;
    }
    if options.keep {
        keep(cluster, folder.keep().as_path());
    }
    Ok(())
}

fn company(options: &Options) -> Result<Company> {
    let company = match &options.dataset {
        None => Company::synthetic(options.seed_data, CUSTOMERS),
        Some(path) => Company::read(path, &options.split)?,
    };
    let units = company.units.len();
    ensure!(units > 1, "found {units} unit, expected several");
    Ok(company)
}

/// A coordinator and a connected node per unit, each capped at the price of the study and its spare attempts.
fn deploy(
    company: &Company,
    cap: MicroRho,
    folder: &Path,
    progress: &Progress,
    stop: &Stop,
) -> Result<Cluster> {
    let mut cluster = Cluster::start(folder)?;
    stop.set(cluster.watcher().stopper());
    stop.check()?;
    progress.step("coordinator: certificate authority, keys, store; the operator has joined");
    cluster.add_units(
        company,
        &Policy {
            cap,
            ..Policy::default()
        },
    )?;
    stop.check()?;
    progress.step("every unit has redeemed its ticket and mapped its table");
    cluster.start_nodes()?;
    progress.step("all nodes are connected");
    Ok(cluster)
}

/// The trust mode, and what is left where its assumptions fail.
fn trust(model: &Model) -> String {
    let mode = model.trust();
    match model.floor_epsilon() {
        None => mode.to_owned(),
        Some(floor) => format!("{mode} (epsilon {floor} if more collude than the study tolerates)"),
    }
}

fn private_evaluation(model: &Model) -> String {
    let shown = model.private_auc().map(|auc| format!("AUC {auc:.4}"));
    shown.or_else(|| model.private_reason()).unwrap_or_default()
}

fn write_json(path: &Path, figures: &Value) -> Result<()> {
    let text = format!("{figures:#}\n");
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
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
fn predict(cluster: &Cluster, company: &Company, model: &str) -> Result<()> {
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
        model,
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
        "\none prediction: aquifer predict --model {model} --input hypothetical --explain '{input}'\n{printed}"
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
        "trust": model.map(Model::trust),
        "epsilon_floor": model.and_then(Model::floor_epsilon),
        "sums": measured.sums(),
        "seconds_study": measured.seconds,
        "cpu_seconds": report.cpu_seconds(),
        "bytes_per_node": measured.bytes / company.units.len() as u64,
        "pss_mib": pss,
        "pss_mib_together": mib(report.pss_peak_together),
    })
}

/// Leaves the deployment alone and says how to reach it.
fn keep(mut cluster: Cluster, folder: &Path) {
    let pids: Vec<String> = cluster.pids().iter().map(u32::to_string).collect();
    let operator = cluster.operator.clone();
    note(&format!(
        "\nleft running in {}\n  ask it:   {} model list --dir {}\n  stop it:  kill {}; rm -r {}",
        folder.display(),
        program("aquifer").display(),
        operator.display(),
        pids.join(" "),
        folder.display(),
    ));
    cluster.leave();
}
