/* Keeps the first page fresh; without it the page is complete and a reload does the same. */
(function () {
  "use strict";
  var live = document.getElementById("live");
  if (!live || !window.EventSource || !window.fetch) { return; }
  var last = 0, waiting = false, pause = 2000;

  function opened() {
    return Array.prototype.map.call(live.querySelectorAll("details[open]"), function (item) {
      return item.id;
    });
  }

  function renew() {
    waiting = false;
    last = Date.now();
    if (document.hidden) { return; }
    fetch("/", { headers: { "X-Fragment": "1" }, credentials: "same-origin" })
      .then(function (answer) { return answer.ok ? answer.text() : Promise.reject(answer.status); })
      .then(function (text) {
        var open = opened(), focused = document.activeElement, target = null;
        if (focused && live.contains(focused)) { target = focused.getAttribute("href"); }
        live.innerHTML = text;
        open.forEach(function (id) {
          var item = document.getElementById(id);
          if (item) { item.open = true; }
        });
        if (target) {
          var again = live.querySelector('a[href="' + window.CSS.escape(target) + '"]');
          if (again) { again.focus({ preventScroll: true }); }
        }
      })
      .catch(function () { /* the next event tries again */ });
  }

  var source = new EventSource("/events");
  source.addEventListener("tick", function () {
    if (waiting) { return; }
    waiting = true;
    window.setTimeout(renew, Math.max(0, last + pause - Date.now()));
  });
}());
