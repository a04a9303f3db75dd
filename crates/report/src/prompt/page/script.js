'use strict';
// What a cell of a table holds is said in the bar at the bottom; arrow keys move from cell to cell.
const detail = document.getElementById('detail');
const tables = [...document.querySelectorAll('table.cells')];
const firstCell = table => table.querySelector('tbody td');
const nameOf = cell => cell.textContent.trim();

function said(cell) {
  const table = cell.closest('table'), row = nameOf(cell.parentElement.cells[0]);
  const column = nameOf(table.tHead.rows[0].cells[cell.cellIndex]);
  const title = (cell.title || cell.dataset.title || nameOf(cell)).replaceAll('\n', '; ');
  const place = row === 'output' ? row : `${table.dataset.row} ${row}`;
  return `${place}, ${column}: ${title}`;
}

function focus(cell) {
  const table = cell.closest('table');
  table.querySelectorAll('td[tabindex="0"]').forEach(other => { other.tabIndex = -1; });
  cell.tabIndex = 0;
  cell.focus({ preventScroll: true });
  cell.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

const STEPS = {
  ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
  Home: [0, -Infinity], End: [0, Infinity], PageUp: [-8, 0], PageDown: [8, 0],
};
const within = (x, low, high) => Math.max(low, Math.min(high, x));

function move(event) {
  const step = STEPS[event.key], cell = event.target.closest('td');
  if (!step || !cell || event.altKey || event.metaKey) return;
  const rows = [...cell.closest('tbody').rows];
  const row = rows[within(rows.indexOf(cell.parentElement) + step[0], 0, rows.length - 1)];
  focus(row.cells[within(cell.cellIndex + step[1], 1, row.cells.length - 1)]);
  event.preventDefault();
}

for (const table of tables) {
  const show = event => {
    const cell = event.target.closest('td');
    if (cell) detail.textContent = said(cell);
    if (cell && cell.dataset.p && event.type === 'focusin') choose(cell);
  };
  if (firstCell(table)) firstCell(table).tabIndex = 0;
  table.addEventListener('mouseover', show);
  table.addEventListener('focusin', show);
  table.addEventListener('keydown', move);
  table.addEventListener('click', event => { if (event.target.closest('td')) focus(event.target.closest('td')); });
}

// Lenses coloured by another number: a cell has the step of each.
const measure = document.getElementById('measure');
const lensCells = [...document.querySelectorAll('#lenses td[data-s]')];

function colour() {
  lensCells.forEach(cell => {
    cell.className = cell.className.replace(/^s\d/, `s${cell.dataset.s[measure.selectedIndex]}`);
  });
  const words = measure.selectedOptions[0].dataset.steps.split('|');
  document.querySelectorAll('#legend .key b').forEach((key, at) => { key.textContent = words[at]; });
}

if (measure) {
  measure.hidden = false;
  document.querySelector('#legend .chosen').hidden = true;
  measure.addEventListener('change', colour);
}

// One head at a time.
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const view = document.getElementById('head');
const buttons = view ? [...view.querySelectorAll('button')] : [];
const canvas = view && view.querySelector('canvas');
let chosen = null, query = buttons.length - 1;

const weight = (row, key) => (DIGITS.indexOf(chosen.dataset.p[row * (row + 1) / 2 + key]) / 63) ** 2;

function choose(cell) {
  chosen = cell;
  const [layer, head] = [nameOf(cell.parentElement.cells[0]), cell.cellIndex - 1];
  view.querySelector('h3').textContent = `Layer ${layer}, head ${head}`;
  canvas.setAttribute('aria-label', `attention pattern of layer ${layer}, head ${head}`);
  draw();
  look();
}

function draw() {
  const n = buttons.length, size = Math.max(4, Math.round(512 / n)), colours = canvas.dataset.colours.split(',');
  canvas.width = canvas.height = n * size;
  const pen = canvas.getContext('2d');
  for (let row = 0; row < n; row++) {
    for (let key = 0; key <= row; key++) {
      pen.fillStyle = colours[Math.round(Math.sqrt(weight(row, key)) * (colours.length - 1))];
      pen.fillRect(key * size, row * size, size, size);
    }
  }
}

// The tokens coloured by how much the chosen one looks at them.
function look() {
  const colours = canvas.dataset.colours.split(',');
  buttons.forEach((button, key) => {
    const sees = key <= query, share = sees ? Math.sqrt(weight(query, key)) : 0;
    button.setAttribute('aria-pressed', key === query);
    button.tabIndex = key === query ? 0 : -1;
    button.style.background = sees ? colours[Math.round(share * (colours.length - 1))] : '';
    button.style.color = sees ? (share < 0.5 ? '#fff' : '#000') : '';
    button.title = sees ? `@${key}: ${weight(query, key).toFixed(2)} of the attention from @${query}` : `@${key}`;
  });
}

function from(at) {
  query = within(at, 0, buttons.length - 1);
  look();
  const keys = [...Array(query + 1).keys()].sort((a, b) => weight(query, b) - weight(query, a)).slice(0, 5);
  const seen = keys.map(key => `${nameOf(buttons[key])} @${key} ${weight(query, key).toFixed(2)}`).join(', ');
  detail.textContent = `${view.querySelector('h3').textContent}, from ${nameOf(buttons[query])} @${query}: ${seen}`;
}

function pair(event) {
  const box = canvas.getBoundingClientRect(), n = buttons.length;
  const at = (x, length) => within(Math.floor(x / length * n), 0, n - 1);
  return [at(event.clientY - box.top, box.height), at(event.clientX - box.left, box.width)];
}

const starts = document.querySelectorAll('#attention td[data-p]');
if (view && starts.length && buttons.length) {
  view.hidden = false;
  document.querySelectorAll('.scripted').forEach(text => { text.hidden = false; });
  choose([...starts].reduce((a, b) => Number(nameOf(b)) > Number(nameOf(a)) ? b : a));
  buttons.forEach((button, at) => button.addEventListener('click', () => from(at)));
  view.querySelector('.tokens').addEventListener('keydown', event => {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return;
    from(query + step);
    buttons[query].focus();
    event.preventDefault();
  });
  canvas.addEventListener('mousemove', event => {
    const [row, key] = pair(event);
    if (key > row) return;
    const names = [row, key].map(at => `${nameOf(buttons[at])} @${at}`);
    detail.textContent = `from ${names[0]} to ${names[1]}: ${weight(row, key).toFixed(2)}`;
  });
  canvas.addEventListener('click', event => from(pair(event)[0]));
}
document.querySelectorAll('.keyboard').forEach(text => { text.hidden = false; });
