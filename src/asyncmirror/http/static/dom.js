// Elements. Text goes in as text only: there is no way here from a file's name to markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element of that id. */
export const id = (name) => document.getElementById(name);

/** An element with attributes and children; a child that is no element becomes text. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Set a text, only where it changed: a screen reader tells of changes. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A part of a bar, in percent. */
export function widen(element, percent) {
  element.style.width = `${Math.max(0, Math.min(100, percent)).toFixed(2)}%`;
}
