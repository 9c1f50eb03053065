/** Progressive: without it the page is complete, only less handy. Touches text, never HTML. */
export const DOCS_SCRIPT = `'use strict';
const origin = location.origin;
for (const block of document.querySelectorAll('.curl')) {
  const code = block.querySelector('code');
  code.textContent = code.textContent.replace('http://127.0.0.1:18083', origin);
  const button = block.querySelector('button');
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Not allowed';
    }
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
}

const filter = document.getElementById('filter');
const searchable = [...document.querySelectorAll('[data-search]')];
function applyFilter() {
  const words = filter.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const element of searchable) element.hidden = !words.every((word) => element.dataset.search.includes(word));
  for (const group of document.querySelectorAll('main .group, nav section')) {
    group.hidden = words.length > 0 && ![...group.querySelectorAll('[data-search]')].some((element) => !element.hidden);
  }
}
filter.addEventListener('input', applyFilter);
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && document.activeElement !== filter) {
    event.preventDefault();
    filter.focus();
  }
  if (event.key === 'Escape' && document.activeElement === filter) {
    filter.value = '';
    applyFilter();
    filter.blur();
  }
});

const links = new Map([...document.querySelectorAll('nav li a')].map((link) => [link.hash.slice(1), link]));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const link = links.get(entry.target.id);
    if (!link || !entry.isIntersecting) continue;
    for (const other of links.values()) other.removeAttribute('aria-current');
    link.setAttribute('aria-current', 'true');
  }
}, { rootMargin: '0px 0px -75% 0px' });
for (const article of document.querySelectorAll('article')) seen.observe(article);
`;
