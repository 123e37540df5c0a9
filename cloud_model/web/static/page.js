"use strict";

const byId = (id) => document.getElementById(id);
const maxMegabytes = Number(byId("drop").dataset.maxMegabytes);
const dark = matchMedia("(prefers-color-scheme: dark)");
const lighter = { "#0072B2": "#56B4E9", "#D55E00": "#E69F00" };  // in the palette of Okabe and Ito

function fail(message) {
  byId("error").textContent = message;
  byId("error").hidden = false;
}

async function show(file, index = 0) {
  byId("error").hidden = true;
  byId("result").replaceChildren();
  if (file.size > maxMegabytes * 2 ** 20) {
    fail(`${file.name}: the file is larger than ${maxMegabytes} MiB.`);
    return;
  }
  byId("busy").hidden = false;
  try {
    const response = await fetch(`crystal?name=${encodeURIComponent(file.name)}&index=${index}`, {
      method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" },
    });
    const text = await response.text();
    if (!response.ok) {
      fail(response.status < 500 ? text : `${file.name}: the server failed. Please report it with the file.`);
      return;
    }
    byId("result").innerHTML = text;  // which the server has escaped
    document.body.classList.add("shown");
    byId("download").addEventListener("click", download);
    byId("index")?.addEventListener("change", (event) => { show(file, event.target.value); });
    draw();
  } catch (error) {
    fail(`${file.name}: the server cannot be reached. Is cloud serve still running?`);
  } finally {
    byId("busy").hidden = true;
  }
}

function draw() {
  const style = getComputedStyle(document.documentElement);
  const [ink, line, card] = ["--ink", "--line", "--card"].map((name) => style.getPropertyValue(name).trim());
  const theme = {
    paper_bgcolor: "transparent", plot_bgcolor: "transparent",
    font: { color: ink, family: getComputedStyle(document.body).fontFamily, size: 13 },
    hoverlabel: { bgcolor: card, font: { color: ink } },
  };
  for (const element of document.querySelectorAll("[data-figure]")) {
    const text = byId(element.dataset.figure).textContent;
    const figure = JSON.parse(dark.matches ? text.replace(/#0072B2|#D55E00/g, (colour) => lighter[colour]) : text);
    const layout = { ...figure.layout, ...theme };
    for (const axis of ["xaxis", "yaxis"]) {
      if (layout[axis]) layout[axis] = { ...layout[axis], gridcolor: line, zeroline: false };
    }
    Plotly.react(element, figure.data, layout, { displayModeBar: false, responsive: true });
  }
}

function download() {
  const report = JSON.parse(byId("report-data").textContent);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(report, null, 1)], { type: "application/json" }));
  link.download = `${report.name.replace(/\.[^.]*$/, "")}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

byId("file").addEventListener("change", (event) => {
  if (event.target.files.length) show(event.target.files[0]);
  event.target.value = "";
});
byId("sample").addEventListener("click", async () => {
  const content = await (await fetch("static/NaCl.cif")).blob();
  show(new File([content], "NaCl.cif"));
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); byId("drop").classList.add("over"); });
}
for (const name of ["dragleave", "drop"]) {
  document.addEventListener(name, (event) => { event.preventDefault(); byId("drop").classList.remove("over"); });
}
document.addEventListener("drop", (event) => {
  if (event.dataTransfer.files.length) show(event.dataTransfer.files[0]);
});
dark.addEventListener("change", draw);
