"use strict";
(function () {
  var source = document.getElementById("slider-data");
  if (!source) return;
  var data = JSON.parse(source.textContent);
  var count = data.levels.length;
  // Cases with a score of at least level k: suffix sums, one entry more for "above all".
  var hits = new Array(count + 1).fill(0), alarms = new Array(count + 1).fill(0);
  for (var k = count - 1; k >= 0; k--) {
    hits[k] = hits[k + 1] + data.positives[k];
    alarms[k] = alarms[k + 1] + data.negatives[k];
  }
  var element = function (id) { return document.getElementById(id); };
  var show = function (id, text) { element(id).textContent = text; };

  function first(threshold) {  // the first level that is at least the threshold
    var low = 0, high = count;
    while (low < high) {
      var middle = (low + high) >> 1;
      if (data.levels[middle] >= threshold) high = middle; else low = middle + 1;
    }
    return low;
  }

  function wilson(successes, total) {
    var z2 = data.quantile * data.quantile, share = successes / total;
    var centre = (share + z2 / (2 * total)) / (1 + z2 / total);
    var half = Math.sqrt(z2 * (share * (1 - share) / total + z2 / (4 * total * total))) / (1 + z2 / total);
    return [successes <= 0 ? 0 : Math.max(centre - half, 0), successes >= total ? 1 : Math.min(centre + half, 1)];
  }

  function elsewhere(odds, hit, hitTotal, miss, missTotal) {  // predictive value from a hit rate and a miss rate
    var estimate = odds * hit / (odds * hit + miss);
    if (!isFinite(estimate)) return null;
    var smoothHit = (hit * hitTotal + 0.5) / (hitTotal + 1), smoothMiss = (miss * missTotal + 0.5) / (missTotal + 1);
    var variance = (1 - smoothHit) / (hit * hitTotal + 0.5) + (1 - smoothMiss) / (miss * missTotal + 0.5);
    var centre = Math.log(odds * smoothHit / smoothMiss), half = data.quantile * Math.sqrt(variance);
    var end = function (side) { return 1 / (1 + Math.exp(-(centre + side * half))); };
    return [estimate, Math.min(end(-1), estimate), Math.max(end(1), estimate)];
  }

  function number(value) { return value.toFixed(3).replace(/^0\./, "."); }
  function words(found) {
    if (!found) return "undefined: no case is said so";
    if (data.clustered) return number(found[0]);
    return number(found[0]) + " (" + number(found[1]) + " to " + number(found[2]) + ")";
  }
  function share(id, successes, total) {
    show(id, total ? words([successes / total].concat(wilson(successes, total))) : words(null));
    show(id + "-cases", successes + "/" + total);
  }

  var threshold = data.threshold, prevalence = data.prevalence;

  function update() {
    var place = first(threshold), tp = hits[place], fp = alarms[place];
    var positives = hits[0], negatives = alarms[0], fn = positives - tp, tn = negatives - fp;
    share("sensitivity", tp, positives);
    share("specificity", tn, negatives);
    share("ppv", tp, tp + fp);
    share("npv", tn, tn + fn);
    share("accuracy", tp + tn, positives + negatives);
    show("true-positives", tp); show("false-negatives", fn); show("false-positives", fp); show("true-negatives", tn);
    if (positives && negatives && prevalence > 0 && prevalence < 1) {
      var odds = prevalence / (1 - prevalence);
      show("ppv-elsewhere", words(elsewhere(odds, tp / positives, positives, fp / negatives, negatives)));
      show("npv-elsewhere", words(elsewhere(1 / odds, tn / negatives, negatives, fn / positives, positives)));
    } else {
      show("ppv-elsewhere", "type a prevalence between 0 and 100"); show("npv-elsewhere", "");
    }
    show("frozen-mark", threshold === data.threshold ? "This is the frozen threshold." : "Not the frozen threshold.");
    element("slider").setAttribute("data-threshold", threshold);
    var line = element("threshold-line");
    line.setAttribute("x1", 1000 * threshold); line.setAttribute("x2", 1000 * threshold);
  }

  function move(value, from) {
    if (!(value >= 0 && value <= 1)) return;
    threshold = value;
    if (from !== "range") element("threshold").value = value;
    if (from !== "number") element("threshold-number").value = Number(value.toPrecision(6));
    update();
  }

  function draw() {  // a histogram by class, the frozen threshold dashed, the present one solid
    var space = "http://www.w3.org/2000/svg", bins = 50, tall = 0, heights = [[], []];
    for (var b = 0; b < bins; b++) { heights[0].push(0); heights[1].push(0); }
    for (var k = 0; k < count; k++) {
      var bin = Math.min(bins - 1, Math.floor(data.levels[k] * bins));
      heights[0][bin] += data.positives[k]; heights[1][bin] += data.negatives[k];
    }
    // Square roots, so that the few cases between the ends can be seen.
    for (b = 0; b < bins; b++) tall = Math.max(tall, Math.sqrt(heights[0][b]), Math.sqrt(heights[1][b]));
    var svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 1000 200"); svg.setAttribute("preserveAspectRatio", "none");
    var add = function (name, attributes) {
      var made = document.createElementNS(space, name);
      for (var key in attributes) made.setAttribute(key, attributes[key]);
      svg.appendChild(made);
      return made;
    };
    for (b = 0; b < bins; b++) for (var side = 0; side < 2; side++) {
      var height = 97 * Math.sqrt(heights[side][b]) / (tall || 1);
      add("rect", { x: 1000 * b / bins + 1, width: 1000 / bins - 2, y: side ? 101 : 99 - height, height: height,
        style: "fill: var(--series-" + (side ? 1 : 2) + "); opacity: .8" });
    }
    add("line", { x1: 0, x2: 1000, y1: 100, y2: 100, style: "stroke: var(--muted)", "vector-effect": "non-scaling-stroke" });
    add("line", { x1: 1000 * data.threshold, x2: 1000 * data.threshold, y1: 0, y2: 200, style: "stroke: var(--muted)",
      "stroke-width": 1.5, "stroke-dasharray": "5 4", "vector-effect": "non-scaling-stroke" });
    add("line", { id: "threshold-line", y1: 0, y2: 200, style: "stroke: var(--ink)", "stroke-width": 2,
      "vector-effect": "non-scaling-stroke" });
    element("histogram").appendChild(svg);
    var legend = document.createElement("p");
    legend.className = "notes";
    legend.textContent = "Cases by predicted probability from 0 to 1 (square-root scale): " + data.positive + " above the line (orange), " +
      data.negative + " below it (blue); dashed: the frozen threshold, solid: this one.";
    element("histogram").appendChild(legend);
  }

  element("slider").hidden = false;
  draw();
  element("threshold").addEventListener("input", function (event) { move(Number(event.target.value), "range"); });
  element("threshold-number").addEventListener("input", function (event) {
    if (event.target.value !== "") move(Number(event.target.value), "number");
  });
  element("prevalence").addEventListener("input", function (event) {
    prevalence = event.target.value === "" ? NaN : Number(event.target.value) / 100;
    update();
  });
  element("reset").addEventListener("click", function () { move(data.threshold, ""); });

  // A link such as report.html#threshold=.3&prevalence=.05 opens the page at that operating point.
  function linked() {
    var asked = new URLSearchParams(location.hash.slice(1));
    if (asked.has("prevalence")) prevalence = Number(asked.get("prevalence"));
    element("prevalence").value = Number((100 * prevalence).toPrecision(6));
    move(asked.has("threshold") ? Number(asked.get("threshold")) : threshold, "");
  }
  window.addEventListener("hashchange", linked);
  linked();
})();
