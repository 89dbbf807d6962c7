/*! hansard-web 49d9cffa37f8b4f95e6cfaa6b69e811aba43afe594f86428aab9f45940614d9d */
/**
 * @license
 * Copyright 2019 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const Ue=globalThis,dt=Ue.ShadowRoot&&(Ue.ShadyCSS===void 0||Ue.ShadyCSS.nativeShadow)&&"adoptedStyleSheets"in Document.prototype&&"replace"in CSSStyleSheet.prototype,ut=Symbol(),_t=new WeakMap;let Xt=class{constructor(e,s,i){if(this._$cssResult$=!0,i!==ut)throw Error("CSSResult is not constructable. Use `unsafeCSS` or `css` instead.");this.cssText=e,this.t=s}get styleSheet(){let e=this.o;const s=this.t;if(dt&&e===void 0){const i=s!==void 0&&s.length===1;i&&(e=_t.get(s)),e===void 0&&((this.o=e=new CSSStyleSheet).replaceSync(this.cssText),i&&_t.set(s,e))}return e}toString(){return this.cssText}};const bs=t=>new Xt(typeof t=="string"?t:t+"",void 0,ut),y=(t,...e)=>{const s=t.length===1?t[0]:e.reduce((i,n,r)=>i+(a=>{if(a._$cssResult$===!0)return a.cssText;if(typeof a=="number")return a;throw Error("Value passed to 'css' function must be a 'css' function result: "+a+". Use 'unsafeCSS' to pass non-literal values, but take care to ensure page security.")})(n)+t[r+1],t[0]);return new Xt(s,t,ut)},ks=(t,e)=>{if(dt)t.adoptedStyleSheets=e.map(s=>s instanceof CSSStyleSheet?s:s.styleSheet);else for(const s of e){const i=document.createElement("style"),n=Ue.litNonce;n!==void 0&&i.setAttribute("nonce",n),i.textContent=s.cssText,t.appendChild(i)}},St=dt?t=>t:t=>t instanceof CSSStyleSheet?(e=>{let s="";for(const i of e.cssRules)s+=i.cssText;return bs(s)})(t):t;/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const{is:_s,defineProperty:Ss,getOwnPropertyDescriptor:xs,getOwnPropertyNames:As,getOwnPropertySymbols:Ms,getPrototypeOf:Ts}=Object,Ke=globalThis,xt=Ke.trustedTypes,Ps=xt?xt.emptyScript:"",Os=Ke.reactiveElementPolyfillSupport,Se=(t,e)=>t,He={toAttribute(t,e){switch(e){case Boolean:t=t?Ps:null;break;case Object:case Array:t=t==null?t:JSON.stringify(t)}return t},fromAttribute(t,e){let s=t;switch(e){case Boolean:s=t!==null;break;case Number:s=t===null?null:Number(t);break;case Object:case Array:try{s=JSON.parse(t)}catch{s=null}}return s}},pt=(t,e)=>!_s(t,e),At={attribute:!0,type:String,converter:He,reflect:!1,useDefault:!1,hasChanged:pt};Symbol.metadata??=Symbol("metadata"),Ke.litPropertyMetadata??=new WeakMap;let ce=class extends HTMLElement{static addInitializer(e){this._$Ei(),(this.l??=[]).push(e)}static get observedAttributes(){return this.finalize(),this._$Eh&&[...this._$Eh.keys()]}static createProperty(e,s=At){if(s.state&&(s.attribute=!1),this._$Ei(),this.prototype.hasOwnProperty(e)&&((s=Object.create(s)).wrapped=!0),this.elementProperties.set(e,s),!s.noAccessor){const i=Symbol(),n=this.getPropertyDescriptor(e,i,s);n!==void 0&&Ss(this.prototype,e,n)}}static getPropertyDescriptor(e,s,i){const{get:n,set:r}=xs(this.prototype,e)??{get(){return this[s]},set(a){this[s]=a}};return{get:n,set(a){const c=n?.call(this);r?.call(this,a),this.requestUpdate(e,c,i)},configurable:!0,enumerable:!0}}static getPropertyOptions(e){return this.elementProperties.get(e)??At}static _$Ei(){if(this.hasOwnProperty(Se("elementProperties")))return;const e=Ts(this);e.finalize(),e.l!==void 0&&(this.l=[...e.l]),this.elementProperties=new Map(e.elementProperties)}static finalize(){if(this.hasOwnProperty(Se("finalized")))return;if(this.finalized=!0,this._$Ei(),this.hasOwnProperty(Se("properties"))){const s=this.properties,i=[...As(s),...Ms(s)];for(const n of i)this.createProperty(n,s[n])}const e=this[Symbol.metadata];if(e!==null){const s=litPropertyMetadata.get(e);if(s!==void 0)for(const[i,n]of s)this.elementProperties.set(i,n)}this._$Eh=new Map;for(const[s,i]of this.elementProperties){const n=this._$Eu(s,i);n!==void 0&&this._$Eh.set(n,s)}this.elementStyles=this.finalizeStyles(this.styles)}static finalizeStyles(e){const s=[];if(Array.isArray(e)){const i=new Set(e.flat(1/0).reverse());for(const n of i)s.unshift(St(n))}else e!==void 0&&s.push(St(e));return s}static _$Eu(e,s){const i=s.attribute;return i===!1?void 0:typeof i=="string"?i:typeof e=="string"?e.toLowerCase():void 0}constructor(){super(),this._$Ep=void 0,this.isUpdatePending=!1,this.hasUpdated=!1,this._$Em=null,this._$Ev()}_$Ev(){this._$ES=new Promise(e=>this.enableUpdating=e),this._$AL=new Map,this._$E_(),this.requestUpdate(),this.constructor.l?.forEach(e=>e(this))}addController(e){(this._$EO??=new Set).add(e),this.renderRoot!==void 0&&this.isConnected&&e.hostConnected?.()}removeController(e){this._$EO?.delete(e)}_$E_(){const e=new Map,s=this.constructor.elementProperties;for(const i of s.keys())this.hasOwnProperty(i)&&(e.set(i,this[i]),delete this[i]);e.size>0&&(this._$Ep=e)}createRenderRoot(){const e=this.shadowRoot??this.attachShadow(this.constructor.shadowRootOptions);return ks(e,this.constructor.elementStyles),e}connectedCallback(){this.renderRoot??=this.createRenderRoot(),this.enableUpdating(!0),this._$EO?.forEach(e=>e.hostConnected?.())}enableUpdating(e){}disconnectedCallback(){this._$EO?.forEach(e=>e.hostDisconnected?.())}attributeChangedCallback(e,s,i){this._$AK(e,i)}_$ET(e,s){const i=this.constructor.elementProperties.get(e),n=this.constructor._$Eu(e,i);if(n!==void 0&&i.reflect===!0){const r=(i.converter?.toAttribute!==void 0?i.converter:He).toAttribute(s,i.type);this._$Em=e,r==null?this.removeAttribute(n):this.setAttribute(n,r),this._$Em=null}}_$AK(e,s){const i=this.constructor,n=i._$Eh.get(e);if(n!==void 0&&this._$Em!==n){const r=i.getPropertyOptions(n),a=typeof r.converter=="function"?{fromAttribute:r.converter}:r.converter?.fromAttribute!==void 0?r.converter:He;this._$Em=n;const c=a.fromAttribute(s,r.type);this[n]=c??this._$Ej?.get(n)??c,this._$Em=null}}requestUpdate(e,s,i,n=!1,r){if(e!==void 0){const a=this.constructor;if(n===!1&&(r=this[e]),i??=a.getPropertyOptions(e),!((i.hasChanged??pt)(r,s)||i.useDefault&&i.reflect&&r===this._$Ej?.get(e)&&!this.hasAttribute(a._$Eu(e,i))))return;this.C(e,s,i)}this.isUpdatePending===!1&&(this._$ES=this._$EP())}C(e,s,{useDefault:i,reflect:n,wrapped:r},a){i&&!(this._$Ej??=new Map).has(e)&&(this._$Ej.set(e,a??s??this[e]),r!==!0||a!==void 0)||(this._$AL.has(e)||(this.hasUpdated||i||(s=void 0),this._$AL.set(e,s)),n===!0&&this._$Em!==e&&(this._$Eq??=new Set).add(e))}async _$EP(){this.isUpdatePending=!0;try{await this._$ES}catch(s){Promise.reject(s)}const e=this.scheduleUpdate();return e!=null&&await e,!this.isUpdatePending}scheduleUpdate(){return this.performUpdate()}performUpdate(){if(!this.isUpdatePending)return;if(!this.hasUpdated){if(this.renderRoot??=this.createRenderRoot(),this._$Ep){for(const[n,r]of this._$Ep)this[n]=r;this._$Ep=void 0}const i=this.constructor.elementProperties;if(i.size>0)for(const[n,r]of i){const{wrapped:a}=r,c=this[n];a!==!0||this._$AL.has(n)||c===void 0||this.C(n,void 0,r,c)}}let e=!1;const s=this._$AL;try{e=this.shouldUpdate(s),e?(this.willUpdate(s),this._$EO?.forEach(i=>i.hostUpdate?.()),this.update(s)):this._$EM()}catch(i){throw e=!1,this._$EM(),i}e&&this._$AE(s)}willUpdate(e){}_$AE(e){this._$EO?.forEach(s=>s.hostUpdated?.()),this.hasUpdated||(this.hasUpdated=!0,this.firstUpdated(e)),this.updated(e)}_$EM(){this._$AL=new Map,this.isUpdatePending=!1}get updateComplete(){return this.getUpdateComplete()}getUpdateComplete(){return this._$ES}shouldUpdate(e){return!0}update(e){this._$Eq&&=this._$Eq.forEach(s=>this._$ET(s,this[s])),this._$EM()}updated(e){}firstUpdated(e){}};ce.elementStyles=[],ce.shadowRootOptions={mode:"open"},ce[Se("elementProperties")]=new Map,ce[Se("finalized")]=new Map,Os?.({ReactiveElement:ce}),(Ke.reactiveElementVersions??=[]).push("2.1.2");/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const mt=globalThis,Mt=t=>t,Fe=mt.trustedTypes,Tt=Fe?Fe.createPolicy("lit-html",{createHTML:t=>t}):void 0,es="$lit$",V=`lit$${Math.random().toFixed(9).slice(2)}$`,ts="?"+V,Es=`<${ts}>`,Q=document,Ae=()=>Q.createComment(""),Me=t=>t===null||typeof t!="object"&&typeof t!="function",gt=Array.isArray,Cs=t=>gt(t)||typeof t?.[Symbol.iterator]=="function",it=`[ 	
\f\r]`,be=/<(?:(!--|\/[^a-zA-Z])|(\/?[a-zA-Z][^>\s]*)|(\/?$))/g,Pt=/-->/g,Ot=/>/g,K=RegExp(`>|${it}(?:([^\\s"'>=/]+)(${it}*=${it}*(?:[^ 	
\f\r"'\`<>=]|("|')|))|$)`,"g"),Et=/'/g,Ct=/"/g,ss=/^(?:script|style|textarea|title)$/i,is=t=>(e,...s)=>({_$litType$:t,strings:e,values:s}),l=is(1),M=is(2),X=Symbol.for("lit-noChange"),d=Symbol.for("lit-nothing"),Nt=new WeakMap,Z=Q.createTreeWalker(Q,129);function ns(t,e){if(!gt(t)||!t.hasOwnProperty("raw"))throw Error("invalid template strings array");return Tt!==void 0?Tt.createHTML(e):e}const Ns=(t,e)=>{const s=t.length-1,i=[];let n,r=e===2?"<svg>":e===3?"<math>":"",a=be;for(let c=0;c<s;c++){const h=t[c];let m,w,g=-1,$=0;for(;$<h.length&&(a.lastIndex=$,w=a.exec(h),w!==null);)$=a.lastIndex,a===be?w[1]==="!--"?a=Pt:w[1]!==void 0?a=Ot:w[2]!==void 0?(ss.test(w[2])&&(n=RegExp("</"+w[2],"g")),a=K):w[3]!==void 0&&(a=K):a===K?w[0]===">"?(a=n??be,g=-1):w[1]===void 0?g=-2:(g=a.lastIndex-w[2].length,m=w[1],a=w[3]===void 0?K:w[3]==='"'?Ct:Et):a===Ct||a===Et?a=K:a===Pt||a===Ot?a=be:(a=K,n=void 0);const v=a===K&&t[c+1].startsWith("/>")?" ":"";r+=a===be?h+Es:g>=0?(i.push(m),h.slice(0,g)+es+h.slice(g)+V+v):h+V+(g===-2?c:v)}return[ns(t,r+(t[s]||"<?>")+(e===2?"</svg>":e===3?"</math>":"")),i]};class Te{constructor({strings:e,_$litType$:s},i){let n;this.parts=[];let r=0,a=0;const c=e.length-1,h=this.parts,[m,w]=Ns(e,s);if(this.el=Te.createElement(m,i),Z.currentNode=this.el.content,s===2||s===3){const g=this.el.content.firstChild;g.replaceWith(...g.childNodes)}for(;(n=Z.nextNode())!==null&&h.length<c;){if(n.nodeType===1){if(n.hasAttributes())for(const g of n.getAttributeNames())if(g.endsWith(es)){const $=w[a++],v=n.getAttribute(g).split(V),k=/([.?@])?(.*)/.exec($);h.push({type:1,index:r,name:k[2],strings:v,ctor:k[1]==="."?js:k[1]==="?"?Is:k[1]==="@"?Rs:Ye}),n.removeAttribute(g)}else g.startsWith(V)&&(h.push({type:6,index:r}),n.removeAttribute(g));if(ss.test(n.tagName)){const g=n.textContent.split(V),$=g.length-1;if($>0){n.textContent=Fe?Fe.emptyScript:"";for(let v=0;v<$;v++)n.append(g[v],Ae()),Z.nextNode(),h.push({type:2,index:++r});n.append(g[$],Ae())}}}else if(n.nodeType===8)if(n.data===ts)h.push({type:2,index:r});else{let g=-1;for(;(g=n.data.indexOf(V,g+1))!==-1;)h.push({type:7,index:r}),g+=V.length-1}r++}}static createElement(e,s){const i=Q.createElement("template");return i.innerHTML=e,i}}function de(t,e,s=t,i){if(e===X)return e;let n=i!==void 0?s._$Co?.[i]:s._$Cl;const r=Me(e)?void 0:e._$litDirective$;return n?.constructor!==r&&(n?._$AO?.(!1),r===void 0?n=void 0:(n=new r(t),n._$AT(t,s,i)),i!==void 0?(s._$Co??=[])[i]=n:s._$Cl=n),n!==void 0&&(e=de(t,n._$AS(t,e.values),n,i)),e}class Ds{constructor(e,s){this._$AV=[],this._$AN=void 0,this._$AD=e,this._$AM=s}get parentNode(){return this._$AM.parentNode}get _$AU(){return this._$AM._$AU}u(e){const{el:{content:s},parts:i}=this._$AD,n=(e?.creationScope??Q).importNode(s,!0);Z.currentNode=n;let r=Z.nextNode(),a=0,c=0,h=i[0];for(;h!==void 0;){if(a===h.index){let m;h.type===2?m=new we(r,r.nextSibling,this,e):h.type===1?m=new h.ctor(r,h.name,h.strings,this,e):h.type===6&&(m=new Bs(r,this,e)),this._$AV.push(m),h=i[++c]}a!==h?.index&&(r=Z.nextNode(),a++)}return Z.currentNode=Q,n}p(e){let s=0;for(const i of this._$AV)i!==void 0&&(i.strings!==void 0?(i._$AI(e,i,s),s+=i.strings.length-2):i._$AI(e[s])),s++}}class we{get _$AU(){return this._$AM?._$AU??this._$Cv}constructor(e,s,i,n){this.type=2,this._$AH=d,this._$AN=void 0,this._$AA=e,this._$AB=s,this._$AM=i,this.options=n,this._$Cv=n?.isConnected??!0}get parentNode(){let e=this._$AA.parentNode;const s=this._$AM;return s!==void 0&&e?.nodeType===11&&(e=s.parentNode),e}get startNode(){return this._$AA}get endNode(){return this._$AB}_$AI(e,s=this){e=de(this,e,s),Me(e)?e===d||e==null||e===""?(this._$AH!==d&&this._$AR(),this._$AH=d):e!==this._$AH&&e!==X&&this._(e):e._$litType$!==void 0?this.$(e):e.nodeType!==void 0?this.T(e):Cs(e)?this.k(e):this._(e)}O(e){return this._$AA.parentNode.insertBefore(e,this._$AB)}T(e){this._$AH!==e&&(this._$AR(),this._$AH=this.O(e))}_(e){this._$AH!==d&&Me(this._$AH)?this._$AA.nextSibling.data=e:this.T(Q.createTextNode(e)),this._$AH=e}$(e){const{values:s,_$litType$:i}=e,n=typeof i=="number"?this._$AC(e):(i.el===void 0&&(i.el=Te.createElement(ns(i.h,i.h[0]),this.options)),i);if(this._$AH?._$AD===n)this._$AH.p(s);else{const r=new Ds(n,this),a=r.u(this.options);r.p(s),this.T(a),this._$AH=r}}_$AC(e){let s=Nt.get(e.strings);return s===void 0&&Nt.set(e.strings,s=new Te(e)),s}k(e){gt(this._$AH)||(this._$AH=[],this._$AR());const s=this._$AH;let i,n=0;for(const r of e)n===s.length?s.push(i=new we(this.O(Ae()),this.O(Ae()),this,this.options)):i=s[n],i._$AI(r),n++;n<s.length&&(this._$AR(i&&i._$AB.nextSibling,n),s.length=n)}_$AR(e=this._$AA.nextSibling,s){for(this._$AP?.(!1,!0,s);e!==this._$AB;){const i=Mt(e).nextSibling;Mt(e).remove(),e=i}}setConnected(e){this._$AM===void 0&&(this._$Cv=e,this._$AP?.(e))}}class Ye{get tagName(){return this.element.tagName}get _$AU(){return this._$AM._$AU}constructor(e,s,i,n,r){this.type=1,this._$AH=d,this._$AN=void 0,this.element=e,this.name=s,this._$AM=n,this.options=r,i.length>2||i[0]!==""||i[1]!==""?(this._$AH=Array(i.length-1).fill(new String),this.strings=i):this._$AH=d}_$AI(e,s=this,i,n){const r=this.strings;let a=!1;if(r===void 0)e=de(this,e,s,0),a=!Me(e)||e!==this._$AH&&e!==X,a&&(this._$AH=e);else{const c=e;let h,m;for(e=r[0],h=0;h<r.length-1;h++)m=de(this,c[i+h],s,h),m===X&&(m=this._$AH[h]),a||=!Me(m)||m!==this._$AH[h],m===d?e=d:e!==d&&(e+=(m??"")+r[h+1]),this._$AH[h]=m}a&&!n&&this.j(e)}j(e){e===d?this.element.removeAttribute(this.name):this.element.setAttribute(this.name,e??"")}}class js extends Ye{constructor(){super(...arguments),this.type=3}j(e){this.element[this.name]=e===d?void 0:e}}class Is extends Ye{constructor(){super(...arguments),this.type=4}j(e){this.element.toggleAttribute(this.name,!!e&&e!==d)}}class Rs extends Ye{constructor(e,s,i,n,r){super(e,s,i,n,r),this.type=5}_$AI(e,s=this){if((e=de(this,e,s,0)??d)===X)return;const i=this._$AH,n=e===d&&i!==d||e.capture!==i.capture||e.once!==i.once||e.passive!==i.passive,r=e!==d&&(i===d||n);n&&this.element.removeEventListener(this.name,this,i),r&&this.element.addEventListener(this.name,this,e),this._$AH=e}handleEvent(e){typeof this._$AH=="function"?this._$AH.call(this.options?.host??this.element,e):this._$AH.handleEvent(e)}}class Bs{constructor(e,s,i){this.element=e,this.type=6,this._$AN=void 0,this._$AM=s,this.options=i}get _$AU(){return this._$AM._$AU}_$AI(e){de(this,e)}}const Ls={I:we},zs=mt.litHtmlPolyfillSupport;zs?.(Te,we),(mt.litHtmlVersions??=[]).push("3.3.3");const Us=(t,e,s)=>{const i=s?.renderBefore??e;let n=i._$litPart$;if(n===void 0){const r=s?.renderBefore??null;i._$litPart$=n=new we(e.insertBefore(Ae(),r),r,void 0,s??{})}return n._$AI(t),n};/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const ft=globalThis;let xe=class extends ce{constructor(){super(...arguments),this.renderOptions={host:this},this._$Do=void 0}createRenderRoot(){const e=super.createRenderRoot();return this.renderOptions.renderBefore??=e.firstChild,e}update(e){const s=this.render();this.hasUpdated||(this.renderOptions.isConnected=this.isConnected),super.update(e),this._$Do=Us(s,this.renderRoot,this.renderOptions)}connectedCallback(){super.connectedCallback(),this._$Do?.setConnected(!0)}disconnectedCallback(){super.disconnectedCallback(),this._$Do?.setConnected(!1)}render(){return X}};xe._$litElement$=!0,xe.finalized=!0,ft.litElementHydrateSupport?.({LitElement:xe});const qs=ft.litElementPolyfillSupport;qs?.({LitElement:xe});(ft.litElementVersions??=[]).push("4.2.2");/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const b=t=>(e,s)=>{s!==void 0?s.addInitializer(()=>{customElements.define(t,e)}):customElements.define(t,e)};/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const Hs={attribute:!0,type:String,converter:He,reflect:!1,hasChanged:pt},Fs=(t=Hs,e,s)=>{const{kind:i,metadata:n}=s;let r=globalThis.litPropertyMetadata.get(n);if(r===void 0&&globalThis.litPropertyMetadata.set(n,r=new Map),i==="setter"&&((t=Object.create(t)).wrapped=!0),r.set(s.name,t),i==="accessor"){const{name:a}=s;return{set(c){const h=e.get.call(this);e.set.call(this,c),this.requestUpdate(a,h,t,!0,c)},init(c){return c!==void 0&&this.C(a,void 0,t,c),c}}}if(i==="setter"){const{name:a}=s;return function(c){const h=this[a];e.call(this,c),this.requestUpdate(a,h,t,!0,c)}}throw Error("Unsupported decorator location: "+i)};function u(t){return(e,s)=>typeof s=="object"?Fs(t,e,s):((i,n,r)=>{const a=n.hasOwnProperty(r);return n.constructor.createProperty(r,i),a?Object.getOwnPropertyDescriptor(n,r):void 0})(t,e,s)}/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */function p(t){return u({...t,state:!0,attribute:!1})}function ve(t,e){try{const s=t.getItem(e);return s===null?null:JSON.parse(s)}catch{return null}}function $e(t,e,s){try{s===null?t.removeItem(e):t.setItem(e,JSON.stringify(s))}catch{}}const Dt=t=>`hansard.seat.${t}`,he={read:t=>ve(sessionStorage,Dt(t)),write:(t,e)=>$e(sessionStorage,Dt(t),e)},jt=t=>`hansard.withdrawal.${t}`,Pe={read:t=>ve(sessionStorage,jt(t)),write:(t,e)=>$e(sessionStorage,jt(t),e)},It=t=>`hansard.guest.${t}`,qe={read:t=>ve(localStorage,It(t)),write:(t,e)=>$e(localStorage,It(t),e)},Rt={read:()=>ve(localStorage,"hansard.name")??"",write:t=>$e(localStorage,"hansard.name",t)},Bt={read:()=>({size:1,contrast:!1,latency:!1,history:!0,...ve(localStorage,"hansard.captions")}),write:t=>$e(localStorage,"hansard.captions",t)},lt={read:()=>ve(localStorage,"hansard.original-sound")??!1,write:t=>$e(localStorage,"hansard.original-sound",t)};class O extends Error{constructor(e,s,i,n=[],r=0){super(i),this.status=e,this.kind=s,this.detail=i,this.errors=n,this.retryAfterS=r}}class ye{constructor(e,s=null){this.root=e,this.token=s}with(e){return new ye(this.root,e)}get(e,s){return this.call("GET",e,void 0,{signal:s})}post(e,s,i,n){return this.call("POST",e,s,{key:i,signal:n})}put(e){return this.call("PUT",e,void 0,{})}async text(e){return(await this.send("GET",e,void 0,{})).text()}async delete(e){await this.call("DELETE",e,void 0,{})}async all(e){const s=[];let i=null;do{const n=i===null?"":`&cursor=${encodeURIComponent(i)}`,r=await this.get(`${e}?limit=200${n}`);s.push(...r.data),i=r.nextCursor}while(i!==null);return s}async call(e,s,i,n){const r=await this.send(e,s,i,n);return r.status===204?void 0:await r.json()}async send(e,s,i,{key:n,signal:r}){const a={};this.token!==null&&(a.authorization=`Bearer ${this.token}`),i!==void 0&&(a["content-type"]="application/json"),n!==void 0&&(a["idempotency-key"]=n);let c;try{c=await fetch(`${this.root}${s}`,{method:e,headers:a,body:i===void 0?null:JSON.stringify(i),credentials:this.token===null?"same-origin":"omit",cache:"no-store",signal:r??null})}catch(h){throw new O(0,"unreachable",h instanceof Error?h.message:String(h))}if(!c.ok)throw await Ws(c);return c}}async function Ws(t){const e=await t.json().catch(()=>({})),s=typeof e.type=="string"?e.type.split("/").pop():"",i=typeof e.detail=="string"?e.detail:t.statusText,n=Number(t.headers.get("retry-after")??0);return new O(t.status,s,i,e.errors??[],Number.isFinite(n)?n:0)}function Oe({recording:t,aiEnabled:e}){return[...t==="off"?[]:["recording"],...e?["transcription"]:[]]}const Vs=y`
    :host {
        --ground: #f6f7f9;
        --card: #ffffff;
        --line: #d5dae1;
        --edge: #7a8494;
        --text: #1b1f24;
        --quiet: #56606d;
        --accent: #0b57d0;
        --accent-text: #ffffff;
        --accent-soft: #e6eefc;
        --danger: #b3261e;
        --danger-text: #ffffff;
        --danger-soft: #fceeed;
        --good: #146c2e;
        --good-soft: #e7f4ea;
        --warn: #7a5200;
        --warn-soft: #fff4dc;
        --radius: 0.75rem;
        font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
        color: var(--text);
        color-scheme: light dark;
    }
    @media (prefers-color-scheme: dark) {
        :host {
            --ground: #14171b;
            --card: #1e2227;
            --line: #363c44;
            --edge: #8d96a3;
            --text: #e8eaed;
            --quiet: #a9b2be;
            --accent: #8ab4f8;
            --accent-text: #0d1117;
            --accent-soft: #22324a;
            --danger: #f2a39c;
            --danger-text: #2b0906;
            --danger-soft: #3c2221;
            --good: #8fd6a4;
            --good-soft: #1d3325;
            --warn: #f0c674;
            --warn-soft: #3a2f17;
        }
    }
`,Gs=y`
    *,
    *::before,
    *::after {
        box-sizing: border-box;
    }
    [hidden] {
        display: none !important;
    }
    h1,
    h2,
    h3 {
        line-height: 1.25;
        margin: 0;
        font-weight: 650;
    }
    h1 {
        font-size: 1.6rem;
    }
    h2 {
        font-size: 1.1rem;
    }
    h3 {
        font-size: 1rem;
    }
    p {
        margin: 0;
    }
    a {
        color: var(--accent);
    }
    button,
    input,
    select {
        font: inherit;
        color: inherit;
    }
    button,
    a.button {
        display: inline-flex;
        align-items: center;
        justify-content: center;
        gap: 0.5rem;
        min-height: 2.5rem;
        padding: 0.4rem 0.9rem;
        border: 1px solid var(--edge);
        border-radius: 0.6rem;
        background: var(--card);
        color: var(--text);
        cursor: pointer;
        text-decoration: none;
        white-space: nowrap;
    }
    button:hover:not(:disabled, [aria-disabled="true"]),
    a.button:hover {
        background: var(--accent-soft);
    }
    button.primary,
    a.button.primary {
        background: var(--accent);
        border-color: var(--accent);
        color: var(--accent-text);
        font-weight: 600;
    }
    button.primary:hover:not(:disabled),
    a.button.primary:hover {
        filter: brightness(1.08);
        background: var(--accent);
    }
    button.danger {
        border-color: var(--danger);
        color: var(--danger);
    }
    button.danger.sure {
        background: var(--danger);
        color: var(--danger-text);
    }
    button.plain {
        border-color: transparent;
        background: none;
        color: var(--accent);
        padding-inline: 0.5rem;
    }
    button:disabled,
    button[aria-disabled="true"] {
        opacity: 0.6;
        cursor: default;
    }
    button[aria-pressed="true"],
    button.on {
        background: var(--accent-soft);
        border-color: var(--accent);
    }
    input:not([type="radio"], [type="checkbox"], [type="range"]),
    select {
        min-height: 2.5rem;
        padding: 0.4rem 0.7rem;
        border: 1px solid var(--edge);
        border-radius: 0.6rem;
        background: var(--card);
        color: var(--text);
        max-width: 100%;
    }
    input[type="radio"],
    input[type="checkbox"] {
        accent-color: var(--accent);
        width: 1.15rem;
        height: 1.15rem;
        margin: 0;
    }
    input[type="range"] {
        accent-color: var(--accent);
    }
    :focus-visible {
        outline: 3px solid var(--accent);
        outline-offset: 2px;
    }
    svg {
        width: 1.25em;
        height: 1.25em;
        flex: none;
        fill: none;
        stroke: currentColor;
        stroke-width: 2;
        stroke-linecap: round;
        stroke-linejoin: round;
    }
    .card {
        background: var(--card);
        border: 1px solid var(--line);
        border-radius: var(--radius);
        padding: 1.25rem;
    }
    .quiet {
        color: var(--quiet);
    }
    .small {
        font-size: 0.9rem;
    }
    .note {
        border-radius: 0.6rem;
        padding: 0.7rem 0.9rem;
        background: var(--accent-soft);
    }
    .note.bad {
        background: var(--danger-soft);
        color: var(--danger);
    }
    .note.warn {
        background: var(--warn-soft);
        color: var(--warn);
    }
    .note.good {
        background: var(--good-soft);
        color: var(--good);
    }
    .row {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.6rem;
    }
    .unseen {
        position: absolute;
        width: 1px;
        height: 1px;
        overflow: hidden;
        clip-path: inset(50%);
        white-space: nowrap;
    }
    .page {
        min-height: 100vh;
        background: var(--ground);
        padding: 1.5rem 1rem 3rem;
    }
    .narrow {
        max-width: 34rem;
        margin: 0 auto;
        display: grid;
        gap: 1rem;
    }
    .wide {
        max-width: 64rem;
        margin: 0 auto;
        display: grid;
        gap: 1rem;
    }
    @media (prefers-reduced-motion: reduce) {
        * {
            transition: none !important;
            animation: none !important;
        }
    }
`;class f extends xe{constructor(){super(...arguments),this.askedFrom=null}static{this.styles=[Vs,Gs]}tell(e,s=void 0){this.dispatchEvent(new CustomEvent(e,{detail:s,bubbles:!0,composed:!0}))}async focusOn(e){await this.updateComplete,this.renderRoot.querySelector(e)?.focus()}async focusOnQuestion(e){this.askedFrom=Ks(),await this.focusOn(e)}async focusBack(e){const s=this.askedFrom;this.askedFrom=null,await this.updateComplete,s?.isConnected===!0?s.focus():await this.focusOn(e)}}function Ks(){let t=document.activeElement;for(;t?.shadowRoot?.activeElement!=null;)t=t.shadowRoot.activeElement;return t instanceof HTMLElement?t:null}const Ys={code:"de",product:"Hansard",retry:"Noch einmal versuchen",cancel:"Abbrechen",loading:"Wird geladen …",and:"und",join:{title:t=>`Besprechung von ${t}`,titlePlain:"An der Besprechung teilnehmen",lead:"Entscheide, was von dir aufbewahrt werden darf, und tritt dann bei. Du kannst es jederzeit ändern.",name:"Dein Name",nameHint:"Alle in der Besprechung sehen ihn.",nameMissing:"Gib einen Namen ein.",again:t=>`Du kommst zurück als ${t}.`,notYou:"Jemand anderes?",password:"Passwort der Besprechung",passwordMissing:"Diese Besprechung verlangt ein Passwort.",passwordWrong:"Das Passwort ist falsch.",microphone:"Mikrofon",microphoneOff:"Ohne Mikrofon teilnehmen",microphoneAllow:"Mikrofon erlauben",microphoneAsk:"Der Browser fragt einmal, ob diese Seite es benutzen darf. Vor dem Beitritt wird nichts gesendet.",microphoneLevel:"Pegel deines Mikrofons",microphoneOriginal:"Ich trage Kopfhörer: meinen Ton unverändert senden, ohne Echounterdrückung",microphoneSpeak:"Sag etwas: Der Balken bewegt sich, wenn man dich hört.",camera:"Kamera",cameraPreview:"Was deine Kamera sieht",cameraHint:"Dein Bild sehen die anderen, solange sie an ist. Es wird nie aufgenommen.",consentTitle:"Was von dir aufbewahrt werden darf",consentIntro:t=>`${t} leitet diese Besprechung und hat Zugriff auf das, was aufbewahrt wird. Ohne deine Zustimmung wird nichts von dir gespeichert: weder Ton noch Worte.`,recording:"Tonaufnahme",recordingWhat:"Deine Stimme wird aufgenommen, als eigene Spur und in der Mischung der Besprechung.",transcription:"Mitschrift und Untertitel",transcriptionWhat:"Was du sagst, wird aufgeschrieben, allen als Untertitel gezeigt und als Mitschrift aufbewahrt.",nothingKept:"Diese Besprechung wird weder aufgenommen noch mitgeschrieben.",agree:"Zustimmen",decline:"Ablehnen",choose:"Wähle eines von beiden.",policyExclude:"Lehnst du ab, hört man dich in der Besprechung, aber es wird nichts von dir aufbewahrt.",policyAll:"Lehnst du ab, wird von niemandem etwas aufbewahrt, solange du da bist.",policyRequired:"Alle müssen hier zustimmen. Lehnst du ab, kannst du nicht teilnehmen.",join:"Beitreten",joining:"Beitritt …",required:t=>`Um teilzunehmen, musst du zustimmen: ${t}.`,statementRecording:t=>`Ich stimme zu, dass meine Stimme in dieser Besprechung von ${t} aufgenommen wird. Ich kann das jederzeit widerrufen.`,statementTranscription:t=>`Ich stimme zu, dass das, was ich in dieser Besprechung von ${t} sage, mitgeschrieben, als Untertitel gezeigt und als Mitschrift aufbewahrt wird. Ich kann das jederzeit widerrufen.`},device:{insecure:"Diese Seite hat weder https noch localhost, deshalb gibt ihr der Browser kein Mikrofon. Öffne sie unter ihrer https-Adresse.",blocked:"Der Browser sperrt das Mikrofon für diese Seite. Erlaube es beim Symbol neben der Adresse und versuche es noch einmal.",none:"Es wurde kein Mikrofon gefunden. Schließe eines an und versuche es noch einmal, oder tritt ohne bei.",busy:"Ein anderes Programm benutzt das Mikrofon. Schließe es dort und versuche es noch einmal.",failed:t=>`Das Mikrofon startet nicht: ${t}`,gone:"Das Mikrofon wurde getrennt. Man hört dich nicht, bis du ein anderes wählst.",camera:{blocked:"Der Browser sperrt die Kamera für diese Seite. Erlaube sie beim Symbol neben der Adresse und versuche es noch einmal.",none:"Es wurde keine Kamera gefunden. Schließe eine an und versuche es noch einmal, oder mach ohne weiter.",busy:"Ein anderes Programm benutzt die Kamera. Schließe es dort und versuche es noch einmal.",failed:t=>`Die Kamera startet nicht: ${t}`}},fault:{title:"Das hat nicht geklappt",over:"Diese Besprechung ist vorbei",overText:"Niemand kann mehr beitreten.",full:"Der Server ist gerade voll oder beschäftigt. Versuche es in einer Minute noch einmal.",linkGone:"Dieser Link gilt nicht mehr",linkGoneText:"Er ist abgelaufen, wurde geschlossen oder ist nicht vollständig. Bitte um einen neuen.",linkClosed:"Dieser Link wurde für neue Gäste geschlossen. Bitte um einen neuen.",linkMissing:"Diese Adresse ist nicht vollständig",linkMissingText:"Der Link, den du bekommen hast, hat einen Teil hinter einem #. Öffne ihn ganz, oder melde dich mit dem Link deiner Anwendung an, wenn du die Besprechung leitest.",deleted:"Diese Besprechung wurde gelöscht.",removed:"Du wurdest aus dieser Besprechung entfernt",removedText:"Die Leitung, oder das, wozu du zugestimmt hast, lässt dich nicht teilnehmen.",left:"Du hast die Besprechung verlassen",ended:"Die Besprechung ist zu Ende",endedText:"Aufnahme und Mitschrift werden jetzt für die Leitung erstellt.",leftText:"Mit demselben Link kommst du zurück.",replaced:"Die Besprechung ist in einem anderen Tab offen",replacedText:"Nur ein Tab nimmt als du teil. Dieser hat aufgehört.",here:"Hier teilnehmen",again:"Zurückkommen",many:"Zu viele Anfragen. Warte einen Moment und versuche es noch einmal.",unreachable:"Der Server antwortet nicht. Prüfe deine Verbindung.",socket:"Die Verbindung zur Besprechung kommt nicht zustande. Ein Firmen-Proxy sperrt vielleicht WebSockets: Versuche ein anderes Netz.",apiKey:"Das ist ein API-Schlüssel, den jeder nehmen kann, der diese Seite liest. Gib dem Element ein Token, das dein Server geholt hat.",loopback:"Der Server nimmt Ton nur unter einer Adresse seines eigenen Rechners an (127.0.0.1), und Firefox benutzt sie nicht. Versuche es dort mit Chromium oder Chrome, oder starte den Server mit --rtp-bind und --rtp-public-ip.",ice:"Der Ton kommt nicht zum Server durch. Eine Firewall sperrt vielleicht UDP: Versuche ein anderes Netz oder schalte ein VPN aus.",noWebrtc:"Dieser Server nimmt keinen Ton von Browsern an. Untertitel kannst du hier lesen.",consentAway:"Das kann gerade nicht festgehalten werden. Solange wird nichts von dir aufbewahrt.",other:t=>t},room:{people:"Teilnehmende",speaks:"spricht",mutedState:"stumm",paused:"Kein Bild: Netz zu langsam",mute:"Stumm schalten",unmute:"Ton an",noMicrophone:"Kein Mikrofon",captionsShow:"Untertitel zeigen",captionsHide:"Untertitel ausblenden",leave:"Verlassen",end:"Für alle beenden",endSure:"Die Besprechung für alle beenden?",remove:t=>`${t} entfernen`,removeSure:t=>`${t} aus der Besprechung entfernen?`,yes:"Ja",copyLink:"Einladung kopieren",copied:"Der Link ist in der Zwischenablage.",linkIs:"Einladung:",you:t=>`${t} (du)`,alone:"Du bist bisher allein hier.",connecting:"Verbindung wird aufgebaut …",reconnecting:"Die Verbindung ist abgerissen. Sie wird neu aufgebaut …",audioBlocked:"Der Browser spielt keinen Ton ab, bevor du eine Taste drückst.",playAudio:"Ton abspielen",kept:"Aufgenommen, mitgeschrieben",notKept:"Nichts aufbewahrt",recorded:"Aufgenommen",transcribed:"Mitgeschrieben",notRecorded:"Nicht aufgenommen",notTranscribed:"Nicht mitgeschrieben",stateOff:"Diese Besprechung wird nicht aufgenommen.",stateWaiting:"Es wird nichts aufgenommen: Noch hat niemand zugestimmt.",statePausedFor:(t,e)=>`Die Aufnahme pausiert${e}: Die Zustimmung von ${t} fehlt.`,statePausedDisk:t=>`Die Aufnahme pausiert${t}: Der Server kann gerade nicht schreiben.`,stateBoth:t=>`Aufgenommen und mitgeschrieben${t}.`,stateRecording:t=>`Aufgenommen${t}.`,stateTranscribing:t=>`Mitgeschrieben${t}.`,stateNotTranscribing:"Nicht mitgeschrieben.",stateSince:t=>` seit ${t}`,nameSince:(t,e)=>e===""?t:`${t} (${e.trim()})`,stateNot:t=>`Nichts aufbewahrt wird von ${t}.`,stateNotRecorded:t=>`Nicht aufgenommen: ${t}.`,stateNotTranscribed:t=>`Nicht mitgeschrieben: ${t}.`,stateUnrecorded:t=>`Geht gerade verloren, trotz Zustimmung: ${t}.`,camera:"Kamera an",cameraOff:"Kamera aus",screen:"Bildschirm teilen",screenOff:"Nicht mehr teilen",screenFailed:t=>`Das Bild startet nicht: ${t}`,screenOf:t=>`Bildschirm von ${t}`},consent:{title:"Was von dir aufbewahrt wird",recording:"Tonaufnahme",transcription:"Mitschrift und Untertitel",accepted:"zugestimmt",declined:"abgelehnt",withdrawn:"widerrufen",none:"nicht zugestimmt",agree:"Zustimmen",withdraw:"Widerrufen",withdrawAll:"Nichts mehr von mir aufbewahren",withdrawNow:"Nicht mehr aufbewahren",working:"Wird widerrufen: Bis das sicher ist, sendest du keinen Ton.",granting:"Wird festgehalten …",since:t=>`seit ${t}`,off:"nicht in dieser Besprechung"},captions:{title:"Untertitel",empty:"Hier erscheint, was gesagt wird, von allen, die zugestimmt haben.",history:"Mitschrift bisher",size:"Größe",smaller:"Kleinere Untertitel",larger:"Größere Untertitel",contrast:"Hoher Kontrast",latency:"Verzögerung zeigen",bundled:"Vom kleinen Testmodell, das 650 englische Wörter in drei künstlichen Stimmen kennt: Was echte Stimmen sagen, kommt falsch heraus.",latencyOf:t=>`${t} s später`},host:{title:"Deine Besprechungen",search:"Name",searchHint:"Jemand, der dabei war",from:"Von",to:"Bis",none:"Es gibt noch keine Besprechungen.",noneFound:"Nichts gefunden.",more:"Frühere Besprechungen",status:{scheduled:"geplant",live:"läuft",ended:"beendet"},enter:"In den Raum",open:"Öffnen",back:"Alle Besprechungen",toFiles:"Zu den Aufnahmen",meetingOf:t=>`Besprechung vom ${t}`,participants:"Mit",recordings:"Aufnahmen",noRecordings:"Es wurde nichts aufgenommen.",live:"Die Besprechung läuft noch. Ihre Dateien entstehen nach dem Ende.",mix:"Alle",track:t=>t,download:"Herunterladen",delete:"Löschen",deleteSure:t=>`„${t}“ endgültig löschen? Jede Kopie verschwindet.`,deleteYes:"Endgültig löschen",deleteMeeting:"Besprechung löschen",deleteMeetingSure:"Alle Aufnahmen und Worte dieser Besprechung endgültig löschen? Nur das Verzeichnis der Zustimmungen bleibt.",deleted:"Gelöscht.",restore:"Aus dem Archiv holen",restoring:"Wird aus dem Archiv geholt",restoreBy:t=>`Fertig etwa ${t}.`,states:{recording:"wird aufgenommen",processing:"wird erstellt",ready:"fertig",failed:"fehlgeschlagen",deleting:"wird gelöscht"},tiers:{hot:"frisch",warm:"gelagert",cold:"weggelegt",archive:"archiviert"},waitingFor:{storage:"wartet auf den Speicher",database:"wartet auf die Datenbank",disk:"wartet auf Speicherplatz"},expires:t=>`Wird am ${t} gelöscht`,tryAgain:"Neu erstellen",signedOut:"Deine Sitzung ist abgelaufen",signedOutText:"Öffne einen neuen Link aus deiner Anwendung."},player:{play:"Abspielen",pause:"Anhalten",back:"10 Sekunden zurück",forward:"10 Sekunden vor",speed:"Tempo",seek:"Stelle in der Aufnahme",at:(t,e)=>`${t} von ${e}`,speakers:"Zu hören",transcript:"Mitschrift",transcriptNone:"Es gibt keine Worte.",transcriptIncomplete:"Die Mitschrift ist noch nicht vollständig.",search:"In der Mitschrift suchen",hits:t=>t===1?"1 Stelle":`${t} Stellen`,next:"Nächste Stelle",previous:"Vorige Stelle",follow:"Der Stimme folgen",gap:t=>`Nicht aufgenommen: ${t}`,gaps:{muted:"stumm",left:"war gegangen",no_consent:"keine Zustimmung",paused:"pausiert",lost:"verloren",redacted:"herausgenommen",interrupted:"Worte abgerissen",undecoded:"Worte nicht erkannt",not_stored:"nicht gespeichert"},notReady:"Die Aufnahme ist noch nicht fertig.",archived:"Die Aufnahme ist archiviert. Hole sie zuerst.",cannotPlay:"Der Browser kann diese Aufnahme nicht abspielen. Lade sie stattdessen herunter.",texts:"Mitschrift als",speaks:"Wann diese Stimme zu hören ist, und wie laut",wave:"Wie laut die Aufnahme ist"}},rs={code:"en",product:"Hansard",retry:"Try again",cancel:"Cancel",loading:"Loading …",and:"and",join:{title:t=>`${t}'s meeting`,titlePlain:"Join the meeting",lead:"Choose what may be kept of you, then join. You can change it at any time.",name:"Your name",nameHint:"Everybody in the meeting sees it.",nameMissing:"Enter a name.",again:t=>`You come back as ${t}.`,notYou:"Somebody else?",password:"Password of the meeting",passwordMissing:"This meeting asks for a password.",passwordWrong:"The password is wrong.",microphone:"Microphone",microphoneOff:"Join without a microphone",microphoneAllow:"Allow the microphone",microphoneAsk:"Your browser asks once whether this page may use it. Nothing is sent before you join.",microphoneLevel:"Level of your microphone",microphoneOriginal:"I wear headphones: send my sound as it is, without echo cancellation",microphoneSpeak:"Say something: the bar moves when you are heard.",camera:"Camera",cameraPreview:"What your camera sees",cameraHint:"Your picture is shown to the others while it is on. It is never recorded.",consentTitle:"What may be kept of you",consentIntro:t=>`${t} hosts this meeting and has access to what is kept. Without your agreement nothing of you is stored: neither sound nor words.`,recording:"Sound recording",recordingWhat:"Your voice is recorded, as a track of its own and in the mix of the meeting.",transcription:"Transcript and captions",transcriptionWhat:"What you say is written down, shown to everybody as captions, and kept as a transcript.",nothingKept:"This meeting is neither recorded nor transcribed.",agree:"Agree",decline:"Decline",choose:"Choose one of the two.",policyExclude:"If you decline, you are heard in the meeting and left out of what is kept.",policyAll:"If you decline, nothing is kept of anybody while you are here.",policyRequired:"The host asks everybody to agree. If you decline, you cannot take part.",join:"Join",joining:"Joining …",required:t=>`To take part in this meeting you have to agree to: ${t}.`,statementRecording:t=>`I agree that my voice is recorded in this meeting of ${t}. I can withdraw this at any time.`,statementTranscription:t=>`I agree that what I say in this meeting of ${t} is transcribed, shown as captions and kept as a transcript. I can withdraw this at any time.`},device:{insecure:"This page is neither https nor localhost, so the browser gives it no microphone. Open it by its https address.",blocked:"The browser blocks the microphone for this page. Allow it with the icon beside the address, then try again.",none:"No microphone was found. Connect one and try again, or join without.",busy:"Another program uses the microphone. Close it there and try again.",failed:t=>`The microphone does not start: ${t}`,gone:"The microphone was disconnected. You are not heard until you choose another one.",camera:{blocked:"The browser blocks the camera for this page. Allow it with the icon beside the address, then try again.",none:"No camera was found. Connect one and try again, or go on without.",busy:"Another program uses the camera. Close it there and try again.",failed:t=>`The camera does not start: ${t}`}},fault:{title:"That did not work",over:"This meeting is over",overText:"Nobody can join it any more.",full:"The server is full or busy at the moment. Try again in a minute.",linkGone:"This link is not valid any more",linkGoneText:"It has run out, was closed, or is not complete. Ask for a new one.",linkClosed:"This link was closed to new guests. Ask the host for a new one.",linkMissing:"This address is not complete",linkMissingText:"The link that you were sent has a part behind a #. Open it whole, or sign in with the link of your application if you are the host.",deleted:"This meeting was deleted.",removed:"You were removed from this meeting",removedText:"The host, or what you agreed to, does not let you take part.",left:"You have left the meeting",ended:"The meeting has ended",endedText:"The recording and the transcript are made now, for the host.",leftText:"You can come back with the same link.",replaced:"The meeting is open in another tab",replacedText:"Only one tab at a time takes part as you. This one has stopped.",here:"Take part here",again:"Come back",many:"Too many requests. Wait a moment and try again.",unreachable:"The server does not answer. Check your connection.",socket:"The connection to the meeting does not come about. If you are behind a company proxy it may block WebSockets: try another network.",apiKey:"This is an API key, which whoever reads this page can take. Give the element a token that your server asked for.",loopback:"The server takes sound at an address of its own machine only (127.0.0.1), which Firefox does not use. Try Chromium or Chrome on that machine, or start the server with --rtp-bind and --rtp-public-ip.",ice:"Sound does not get through to the server. A firewall may block UDP: try another network, or switch a VPN off.",noWebrtc:"This server takes no sound from browsers. You can read captions here.",consentAway:"This cannot be written down at the moment. Nothing of you is kept meanwhile.",other:t=>t},room:{people:"Participants",speaks:"speaks",mutedState:"muted",paused:"No picture: slow network",mute:"Mute",unmute:"Unmute",noMicrophone:"No microphone",captionsShow:"Show captions",captionsHide:"Hide captions",leave:"Leave",end:"End for all",endSure:"End the meeting for everybody?",remove:t=>`Remove ${t}`,removeSure:t=>`Remove ${t} from the meeting?`,yes:"Yes",copyLink:"Copy invitation",copied:"The link is in your clipboard.",linkIs:"Invitation:",you:t=>`${t} (you)`,alone:"You are alone here so far.",connecting:"Connecting …",reconnecting:"The connection was lost. Connecting again …",audioBlocked:"The browser plays no sound before you press a key.",playAudio:"Play sound",kept:"Recorded, transcribed",notKept:"Nothing kept",recorded:"Recorded",transcribed:"Transcribed",notRecorded:"Not recorded",notTranscribed:"Not transcribed",stateOff:"This meeting is not recorded.",stateWaiting:"Nothing is recorded: nobody has agreed yet.",statePausedFor:(t,e)=>`Recording is paused${e}: the agreement of ${t} is missing.`,statePausedDisk:t=>`Recording is paused${t}: the server cannot write at the moment.`,stateBoth:t=>`Recorded and transcribed${t}.`,stateRecording:t=>`Recorded${t}.`,stateTranscribing:t=>`Transcribed${t}.`,stateNotTranscribing:"Not transcribed.",stateSince:t=>` since ${t}`,nameSince:(t,e)=>e===""?t:`${t} (${e.trim()})`,stateNot:t=>`Nothing is kept of ${t}.`,stateNotRecorded:t=>`Not recorded: ${t}.`,stateNotTranscribed:t=>`Not transcribed: ${t}.`,stateUnrecorded:t=>`Lost at the moment, though agreed: ${t}.`,camera:"Camera on",cameraOff:"Camera off",screen:"Share screen",screenOff:"Stop sharing",screenFailed:t=>`The picture does not start: ${t}`,screenOf:t=>`Screen of ${t}`},consent:{title:"What is kept of you",recording:"Sound recording",transcription:"Transcript and captions",accepted:"agreed",declined:"declined",withdrawn:"withdrawn",none:"not agreed",agree:"Agree",withdraw:"Withdraw",withdrawAll:"Stop keeping anything of me",withdrawNow:"Stop keeping me",working:"Being withdrawn: you send no sound until that is certain.",granting:"Being written down …",since:t=>`since ${t}`,off:"not in this meeting"},captions:{title:"Captions",empty:"What is said appears here, of those who agreed to it.",history:"Transcript so far",size:"Size",smaller:"Smaller captions",larger:"Larger captions",contrast:"High contrast",latency:"Show delay",bundled:"By the small test model, which knows 650 words of English in three synthetic voices: what real voices say comes out wrong.",latencyOf:t=>`${t} s behind`},host:{title:"Your meetings",search:"Name",searchHint:"Somebody who took part",from:"From",to:"To",none:"There are no meetings yet.",noneFound:"Nothing was found.",more:"Earlier meetings",status:{scheduled:"planned",live:"live now",ended:"ended"},enter:"Enter the room",open:"Open",back:"All meetings",toFiles:"To its recordings",meetingOf:t=>`Meeting of ${t}`,participants:"With",recordings:"Recordings",noRecordings:"Nothing was recorded.",live:"The meeting is still going on. Its files are made after the end.",mix:"Everybody",track:t=>t,download:"Download",delete:"Delete",deleteSure:t=>`Delete “${t}” for good? Every copy goes.`,deleteYes:"Delete for good",deleteMeeting:"Delete the meeting",deleteMeetingSure:"Delete all recordings and words of this meeting for good? Only the log of consents stays.",deleted:"Deleted.",restore:"Fetch from the archive",restoring:"Being fetched from the archive",restoreBy:t=>`Ready by about ${t}.`,states:{recording:"being recorded",processing:"being made",ready:"ready",failed:"failed",deleting:"being deleted"},tiers:{hot:"fresh",warm:"stored",cold:"stored away",archive:"archived"},waitingFor:{storage:"waits for storage",database:"waits for the database",disk:"waits for disk space"},expires:t=>`Deleted on ${t}`,tryAgain:"Make it again",signedOut:"Your session has ended",signedOutText:"Open a new link from your application."},player:{play:"Play",pause:"Pause",back:"10 seconds back",forward:"10 seconds forward",speed:"Speed",seek:"Place in the recording",at:(t,e)=>`${t} of ${e}`,speakers:"Heard",transcript:"Transcript",transcriptNone:"There are no words.",transcriptIncomplete:"The transcript is not complete yet.",search:"Search the transcript",hits:t=>t===1?"1 place":`${t} places`,next:"Next place",previous:"Previous place",follow:"Follow the voice",gap:t=>`Not recorded: ${t}`,gaps:{muted:"muted",left:"had left",no_consent:"no consent",paused:"paused",lost:"lost",redacted:"taken out",interrupted:"words interrupted",undecoded:"words not recognised",not_stored:"not stored"},notReady:"The recording is not ready yet.",archived:"The recording is archived. Fetch it first.",cannotPlay:"The browser cannot play this recording. Download it instead.",texts:"Transcript as",speaks:"When this voice is heard, and how loud",wave:"How loud the recording is"}},Js=[rs,Ys],o=navigator.languages.map(t=>Js.find(e=>e.code===t.slice(0,2).toLowerCase())).find(t=>t!==void 0)??rs;function as(){document.documentElement.lang=o.code}const os=navigator.languages.find(t=>t.toLowerCase().startsWith(o.code))??o.code;function Ne(t){return new Intl.ListFormat(o.code,{type:"conjunction"}).format(t)}function Zs(t){return t.toLocaleTimeString(os,{hour:"2-digit",minute:"2-digit"})}function ls(t,e=new Date){return t.toDateString()===e.toDateString()?Zs(t):Ee(t)}function Ee(t){return t.toLocaleString(os,{dateStyle:"medium",timeStyle:"short"})}function I(t){const e=Math.max(0,Math.floor(t/1e3)),s=a=>String(a).padStart(2,"0"),[i,n,r]=[Math.floor(e/3600),Math.floor(e/60)%60,e%60];return i>0?`${i}:${s(n)}:${s(r)}`:`${n}:${s(r)}`}function Qs(t){const e=t/1048576,s=(i,n)=>new Intl.NumberFormat(o.code,{style:"unit",unit:n,maximumFractionDigits:i<10?1:0}).format(i);return e>=1?s(e,"megabyte"):s(Math.ceil(t/1024),"kilobyte")}const P=t=>M`<svg viewBox="0 0 24 24" aria-hidden="true">${t}</svg>`,S={microphone:P(M`<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5 11a7 7 0 0 0 14 0M12 18v3"/>`),muted:P(M`<path d="M9 9V6a3 3 0 0 1 6 0v5M15 14a3 3 0 0 1-6-1M5 11a7 7 0 0 0 11 5.7M19 11a7 7 0 0 1-.5 2.6M12 18v3M4 4l16 16"/>`),camera:P(M`<rect x="3" y="6" width="12" height="12" rx="2"/><path d="m15 10 6-3v10l-6-3z"/>`),screen:P(M`<rect x="3" y="4" width="18" height="12" rx="2"/><path d="M8 20h8M12 16v4"/>`),captions:P(M`<rect x="3" y="5" width="18" height="14" rx="2"/><path d="M7 11h4M13 11h4M7 15h7M16 15h1"/>`),invite:P(M`<path d="M10 14a4 4 0 0 0 6 .4l3-3a4 4 0 0 0-5.7-5.7L12 7M14 10a4 4 0 0 0-6-.4l-3 3a4 4 0 0 0 5.7 5.7L12 17"/>`),shield:P(M`<path d="M12 3 4.5 6v6c0 4.5 3.2 7.6 7.5 9 4.3-1.4 7.5-4.5 7.5-9V6z"/>`),leave:P(M`<path d="M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h8M10 12h10M17 8l4 4-4 4"/>`),play:P(M`<path d="M7 4.5v15l12-7.5z"/>`),pause:P(M`<path d="M8 5v14M16 5v14"/>`),back:P(M`<path d="M4 12a8 8 0 1 0 3-6.2M4 4v4h4"/>`),forward:P(M`<path d="M20 12a8 8 0 1 1-3-6.2M20 4v4h-4"/>`),download:P(M`<path d="M12 4v11M7 11l5 5 5-5M5 20h14"/>`),dot:M`<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="6" fill="currentColor" stroke="none"/></svg>`},Lt=[212,152,28,282,340,186,48,252,118,4],nt=new Map;function Je(t){const e=nt.get(t)??nt.size;return nt.set(t,e),Lt[e%Lt.length]}function Xs(t){const e=t.trim().split(/\s+/);return(e.length>1?[e[0],e[e.length-1]]:[e[0]]).map(i=>[...i??"?"][0]??"?").join("").toLocaleUpperCase()}const cs=t=>ds(t,o.device),hs=t=>ds(t,o.device.camera);function ds(t,e){switch(t instanceof DOMException?t.name:""){case"NotAllowedError":case"SecurityError":return e.blocked;case"NotFoundError":case"OverconstrainedError":return e.none;case"NotReadableError":case"AbortError":return e.busy;default:return e.failed(t instanceof Error?t.message:String(t))}}const _e=()=>window.isSecureContext&&navigator.mediaDevices!==void 0;async function wt(t){return(await navigator.mediaDevices.getUserMedia({audio:{...t===void 0?{}:{deviceId:{exact:t}},channelCount:1,echoCancellation:!lt.read(),noiseSuppression:!1,autoGainControl:!1}})).getAudioTracks()[0]}async function ei(){return(await navigator.mediaDevices.enumerateDevices()).filter(e=>e.kind==="audioinput"&&e.deviceId!=="")}async function ti(){return(await navigator.mediaDevices.getDisplayMedia({video:{frameRate:{ideal:10}},audio:!1})).getVideoTracks()[0]}const si=()=>navigator.mediaDevices?.getDisplayMedia!==void 0;async function us(){return(await navigator.mediaDevices.getUserMedia({video:{width:{ideal:640},height:{ideal:360},frameRate:{ideal:24}}})).getVideoTracks()[0]}var ii=Object.defineProperty,ni=Object.getOwnPropertyDescriptor,Ze=(t,e,s,i)=>{for(var n=i>1?void 0:i?ni(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&ii(e,s,n),n};let ue=class extends f{constructor(){super(...arguments),this.picture=null,this.fault="",this.asking=!1,this.toggle=async()=>{if(!this.asking){if(this.picture!==null){this.use(null);return}this.asking=!0;try{const t=await us();t.onended=()=>this.use(null),this.use(t),this.fault=""}catch(t){this.fault=hs(t)}finally{this.asking=!1}}}}disconnectedCallback(){super.disconnectedCallback(),this.picture=null}render(){return _e()?l`
            <strong>${o.join.camera}</strong>
            ${this.picture===null?d:l`<video
                      autoplay
                      playsinline
                      .muted=${!0}
                      .srcObject=${this.picture}
                      aria-label=${o.join.cameraPreview}
                  ></video>`}
            <div class="row">
                <button id="camera" type="button" aria-disabled=${this.asking} @click=${this.toggle}>
                    ${S.camera}${this.picture===null?o.room.camera:o.room.cameraOff}
                </button>
            </div>
            <p class="small quiet">${o.join.cameraHint}</p>
            ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
        `:d}use(t){for(const e of this.picture?.getTracks()??[])e.stop();this.picture=t===null?null:new MediaStream([t]),this.tell("camera",t)}};ue.styles=[f.styles,y`
            :host {
                display: grid;
                gap: 0.6rem;
            }
            video {
                width: 100%;
                max-width: 20rem;
                aspect-ratio: 16 / 9;
                border-radius: 0.6rem;
                background: #000;
                object-fit: cover;
                /* As in a mirror. */
                transform: scaleX(-1);
            }
        `];Ze([p()],ue.prototype,"picture",2);Ze([p()],ue.prototype,"fault",2);Ze([p()],ue.prototype,"asking",2);ue=Ze([b("hansard-camera-choice")],ue);var ri=Object.defineProperty,ai=Object.getOwnPropertyDescriptor,Qe=(t,e,s,i)=>{for(var n=i>1?void 0:i?ai(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&ri(e,s,n),n};let pe=class extends f{constructor(){super(...arguments),this.purpose="recording",this.answer=null,this.wrong=!1}render(){const t={recording:[o.join.recording,o.join.recordingWhat],transcription:[o.join.transcription,o.join.transcriptionWhat]}[this.purpose],e=(s,i)=>l`
            <label>
                <input
                    type="radio"
                    name="answer"
                    value=${s?"agree":"decline"}
                    .checked=${this.answer===s}
                    @change=${()=>this.choose(s)}
                />
                ${i}
            </label>
        `;return l`
            <fieldset class=${this.wrong?"wrong":""} aria-describedby="what">
                <legend>${t[0]}</legend>
                <p id="what" class="small quiet">${t[1]}</p>
                <div class="choices">
                    ${e(!0,o.join.agree)} ${e(!1,o.join.decline)}
                </div>
                ${this.wrong?l`<p class="error small" role="alert">${o.join.choose}</p>`:d}
            </fieldset>
        `}choose(t){this.answer=t,this.tell("chosen",{purpose:this.purpose,answer:t})}};pe.styles=[f.styles,y`
            fieldset {
                border: 1px solid var(--line);
                border-radius: 0.6rem;
                padding: 0.8rem 1rem 1rem;
                margin: 0;
                min-width: 0;
            }
            fieldset.wrong {
                border-color: var(--danger);
            }
            legend {
                font-weight: 650;
                padding: 0 0.3rem;
            }
            .choices {
                display: grid;
                grid-template-columns: repeat(2, minmax(0, 1fr));
                gap: 0.6rem;
                margin-top: 0.6rem;
            }
            label {
                display: flex;
                align-items: center;
                justify-content: center;
                gap: 0.6rem;
                border: 1px solid var(--edge);
                border-radius: 0.6rem;
                padding: 0.55rem 0.8rem;
                cursor: pointer;
            }
            label:has(input:checked) {
                border-color: var(--accent);
                background: var(--accent-soft);
            }
            label:has(:focus-visible) {
                outline: 3px solid var(--accent);
                outline-offset: 2px;
            }
            input:focus-visible {
                outline: none;
            }
            .error {
                color: var(--danger);
                margin-top: 0.5rem;
            }
            @media (max-width: 28rem) {
                label {
                    gap: 0.4rem;
                    padding-inline: 0.4rem;
                }
            }
        `];Qe([u()],pe.prototype,"purpose",2);Qe([u({attribute:!1})],pe.prototype,"answer",2);Qe([u({type:Boolean})],pe.prototype,"wrong",2);pe=Qe([b("hansard-consent-choice")],pe);let Le=null;function oi(){return Le??=new AudioContext({latencyHint:"interactive"}),Le.state==="suspended"&&Le.resume().catch(()=>{}),Le}const li=-60;class vt{constructor(e){const s=oi();this.source=s.createMediaStreamSource(new MediaStream([e])),this.analyser=s.createAnalyser(),this.analyser.fftSize=1024,this.samples=new Float32Array(this.analyser.fftSize),this.source.connect(this.analyser)}read(){this.analyser.getFloatTimeDomainData(this.samples);let e=0;for(const i of this.samples)e+=i*i;const s=10*Math.log10(e/this.samples.length+1e-12);return Math.min(1,Math.max(0,1-s/li))}close(){this.source.disconnect()}}var ci=Object.defineProperty,hi=Object.getOwnPropertyDescriptor,De=(t,e,s,i)=>{for(var n=i>1?void 0:i?hi(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&ci(e,s,n),n};let ee=class extends f{constructor(){super(...arguments),this.track=null,this.devices=[],this.fault=_e()?"":o.device.insecure,this.asking=!1,this.level=null,this.frame=0}connectedCallback(){super.connectedCallback(),this.ifAllowed()}disconnectedCallback(){super.disconnectedCallback(),cancelAnimationFrame(this.frame),this.level?.close(),this.level=null}render(){return l`
            <label for="device">${o.join.microphone}</label>
            ${this.track===null?this.askFor():this.chosen()} ${_e()?this.original():d}
            ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
        `}askFor(){return l`
            <p class="small quiet">${o.join.microphoneAsk}</p>
            <div class="row">
                <button
                    id="device"
                    type="button"
                    ?disabled=${this.asking||!_e()}
                    @click=${()=>this.choose(void 0)}
                >
                    ${o.join.microphoneAllow}
                </button>
            </div>
        `}chosen(){return l`
            <select id="device" @change=${t=>this.choose(t.target.value)}>
                ${this.devices.map(({deviceId:t,label:e})=>l`
                        <option value=${t} ?selected=${t===this.track?.getSettings().deviceId}>
                            ${e}
                        </option>
                    `)}
                <option value="">${o.join.microphoneOff}</option>
            </select>
            <div class="meter" role="img" aria-label=${o.join.microphoneLevel}><div></div></div>
            <p class="small quiet">${o.join.microphoneSpeak}</p>
        `}original(){return l`
            <label class="original small">
                <input
                    id="original"
                    type="checkbox"
                    .checked=${lt.read()}
                    @change=${t=>this.keepOriginal(t.target.checked)}
                />
                ${o.join.microphoneOriginal}
            </label>
        `}async keepOriginal(t){lt.write(t),this.track!==null&&await this.use(this.track.getSettings().deviceId)}async ifAllowed(){if(!_e())return;(await navigator.permissions?.query({name:"microphone"}).catch(()=>null))?.state==="granted"&&await this.use(void 0)}async choose(t){await this.use(t),await this.focusOn("#device")}async use(t){if(this.stop(),this.tell("microphone",null),t!==""){this.asking=!0;try{const e=await wt(t);this.track=e,this.fault="",e.onended=()=>{this.stop(),this.fault=o.device.gone,this.tell("microphone",null)},this.level=new vt(e),this.draw(),this.tell("microphone",e),this.devices=await ei()}catch(e){this.fault=cs(e),this.stop(),this.tell("microphone",null)}finally{this.asking=!1}}}stop(){cancelAnimationFrame(this.frame),this.level?.close(),this.level=null,this.track?.stop(),this.track=null}draw(){const t=this.renderRoot.querySelector(".meter div");t!==null&&this.level!==null&&(t.style.transform=`scaleX(${this.level.read().toFixed(3)})`),this.frame=requestAnimationFrame(()=>this.draw())}};ee.styles=[f.styles,y`
            :host {
                display: grid;
                gap: 0.6rem;
            }
            label {
                font-weight: 650;
            }
            .original {
                font-weight: normal;
            }
            select {
                width: 100%;
            }
            .meter {
                height: 0.6rem;
                border-radius: 0.3rem;
                background: var(--line);
                overflow: hidden;
            }
            .meter div {
                height: 100%;
                width: 100%;
                background: var(--good);
                transform: scaleX(0);
                transform-origin: left;
            }
        `];De([p()],ee.prototype,"track",2);De([p()],ee.prototype,"devices",2);De([p()],ee.prototype,"fault",2);De([p()],ee.prototype,"asking",2);ee=De([b("hansard-microphone-choice")],ee);var di=Object.defineProperty,ui=Object.getOwnPropertyDescriptor,F=(t,e,s,i)=>{for(var n=i>1?void 0:i?ui(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&di(e,s,n),n};let D=class extends f{constructor(){super(...arguments),this.named=!1,this.known="",this.busy=!1,this.fault="",this.wrongPassword="",this.answers=new Map,this.tried=!1,this.microphone=null,this.camera=null}get purposes(){return Oe(this.invitation)}render(){const{hostName:t,passwordRequired:e}=this.invitation;return l`
            <div class="page">
                <main class="narrow">
                    <header>
                        <h1>${t===""?o.join.titlePlain:o.join.title(t)}</h1>
                        <p class="quiet">${o.join.lead}</p>
                    </header>
                    <form novalidate @submit=${this.submit}>
                        ${this.named?d:this.known===""?this.name():this.again()}
                        ${e&&this.isNew?this.password():d}
                        <section class="card">
                            <hansard-microphone-choice
                                @microphone=${s=>this.microphone=s.detail}
                            ></hansard-microphone-choice>
                            <hansard-camera-choice
                                @camera=${s=>this.camera=s.detail}
                            ></hansard-camera-choice>
                        </section>
                        ${this.consent()}
                        ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
                        <button class="primary" ?disabled=${this.busy}>
                            ${this.busy?o.join.joining:o.join.join}
                        </button>
                    </form>
                </main>
            </div>
        `}get isNew(){return!this.named&&this.known===""}again(){return l`
            <p class="note row">
                <span>${o.join.again(this.known)}</span>
                <button type="button" class="plain" @click=${()=>this.tell("forget")}>
                    ${o.join.notYou}
                </button>
            </p>
        `}name(){const t=this.tried&&this.value("name").trim()==="";return l`
            <div class="field">
                <label for="name">${o.join.name}</label>
                <input
                    id="name"
                    name="name"
                    autocomplete="name"
                    maxlength="128"
                    required
                    .defaultValue=${Rt.read()}
                    aria-describedby="name-hint"
                    aria-invalid=${t?"true":"false"}
                />
                <p id="name-hint" class="small ${t?"error":"quiet"}">
                    ${t?o.join.nameMissing:o.join.nameHint}
                </p>
            </div>
        `}password(){const t=this.tried&&this.value("password")===""?o.join.passwordMissing:this.wrongPassword;return l`
            <div class="field">
                <label for="password">${o.join.password}</label>
                <input
                    id="password"
                    name="password"
                    type="password"
                    autocomplete="off"
                    maxlength="256"
                    aria-describedby="password-hint"
                    aria-invalid=${t===""?"false":"true"}
                />
                <p id="password-hint" class="small error" ?hidden=${t===""}>${t}</p>
            </div>
        `}consent(){const{hostName:t,consentPolicy:e}=this.invitation;if(this.purposes.length===0)return l`<p class="note">${o.join.nothingKept}</p>`;const s={exclude:o.join.policyExclude,all:o.join.policyAll,required:o.join.policyRequired}[e];return l`
            <section class="card">
                <h2>${o.join.consentTitle}</h2>
                <p>${o.join.consentIntro(t)}</p>
                ${this.purposes.map(i=>l`
                        <hansard-consent-choice
                            .purpose=${i}
                            .answer=${this.answers.get(i)??null}
                            ?wrong=${this.tried&&!this.answers.has(i)}
                            @chosen=${this.chosen}
                        ></hansard-consent-choice>
                    `)}
                <p class="small quiet">${s}</p>
            </section>
        `}chosen(t){this.answers=new Map(this.answers).set(t.detail.purpose,t.detail.answer)}value(t){return this.renderRoot.querySelector(`#${t}`)?.value??""}submit(t){t.preventDefault(),this.tried=!0;const e=this.value("name").trim(),s=this.invitation.passwordRequired&&this.isNew;if(this.isNew&&e===""){this.focusOn("#name");return}if(s&&this.value("password")===""){this.focusOn("#password");return}const i=this.purposes.find(r=>!this.answers.has(r));if(i!==void 0){[...this.renderRoot.querySelectorAll("hansard-consent-choice")].find(a=>a.purpose===i)?.shadowRoot?.querySelector("input")?.focus();return}this.isNew&&Rt.write(e);const n={displayName:this.isNew?e:this.known,password:s?this.value("password"):null,microphone:this.microphone,camera:this.camera,answers:this.answers};this.tell("join",n)}};D.styles=[f.styles,y`
            form {
                display: grid;
                gap: 1rem;
            }
            .field {
                display: grid;
                gap: 0.3rem;
            }
            .field > label {
                font-weight: 650;
            }
            .error {
                color: var(--danger);
            }
            section {
                display: grid;
                gap: 0.8rem;
            }
            button.primary {
                min-height: 3rem;
                font-size: 1.05rem;
            }
        `];F([u({attribute:!1})],D.prototype,"invitation",2);F([u({type:Boolean})],D.prototype,"named",2);F([u()],D.prototype,"known",2);F([u({type:Boolean})],D.prototype,"busy",2);F([u()],D.prototype,"fault",2);F([u()],D.prototype,"wrongPassword",2);F([p()],D.prototype,"answers",2);F([p()],D.prototype,"tried",2);D=F([b("hansard-join")],D);function $t(t){return t.length===2?"recording_ai":t[0]}function pi(t,e){const s={recording:o.join.statementRecording(e),transcription:o.join.statementTranscription(e)};return t.map(i=>s[i]).join(" ")}const zt=[250,500,1e3,2e3],mi=4e3,gi=1e4,fi=[400,401,403,404,410,422];async function ps(t,e,s,i,n){const r=i==="accepted"?{statement:pi(s,n)}:{},a={meetingId:e,consentType:$t(s),status:i,...r};return(await t.post("/v1/users/consent",a,crypto.randomUUID())).timestamp}class We{constructor(e){this.meetingId=e,this.logged=Promise.resolve()}withdraw(e,s,i=()=>Promise.reject(new Error("there is none")),n=crypto.randomUUID()){Pe.write(this.meetingId,{key:n,purposes:s});const r={meetingId:this.meetingId,consentType:$t(s),status:"withdrawn"},a=()=>e.post("/v1/users/consent",r,n,AbortSignal.timeout(mi));return new Promise((h,m)=>{i(n).then(h,()=>{});const w=wi(a,h).catch(m);this.logged=Promise.all([this.logged,w])}).finally(()=>Pe.write(this.meetingId,null))}async agree(e,s,i){let n;const r=new Promise((a,c)=>{const h=new O(503,"unavailable","a withdrawal is not in the log yet");n=setTimeout(()=>c(h),gi)});return await Promise.race([this.logged,r]).finally(()=>clearTimeout(n)),ps(e,this.meetingId,s,"accepted",i)}}async function wi(t,e){for(let s=0;;s++){try{const{timestamp:i,entry:n}=await t();if(e(i),n!==void 0)return}catch(i){if(i instanceof O&&fi.includes(i.status))throw i}await new Promise(i=>setTimeout(i,zt[Math.min(s,zt.length-1)]))}}const vi=500;class ct{constructor(){this.byId=new Map,this.revisions=new Map,this.epoch=null}get finals(){return this.sorted(e=>e.isFinal)}get partials(){return this.sorted(e=>!e.isFinal)}inEpoch(e){this.epoch!==null&&this.epoch!==e&&this.forgetPartials(),this.epoch=e}forgetPartials(){for(const e of this.partials)this.byId.delete(e.id)}update(e,s){const i=this.revisions.get(e.segmentId)??0;if(e.revision<i)return;this.revisions.set(e.segmentId,e.revision);const n=this.byId.get(e.segmentId),r=e.startAt===null?NaN:Date.parse(e.startAt)+e.endMs-e.startMs,a=s-r;this.byId.set(e.segmentId,{id:e.segmentId,participantId:e.participant.id,speaker:e.participant.displayName??"",startMs:e.startMs,text:e.text,stable:e.final?e.text.length:e.stableChars,isFinal:e.final,translation:n?.translation??null,delayMs:Number.isFinite(a)&&a<6e4?Math.max(0,a):null}),e.final&&e.text===""&&this.byId.delete(e.segmentId),this.bound()}translate(e,s){const i=this.byId.get(e);i!==void 0&&this.byId.set(e,{...i,translation:s})}retract(e){this.byId.delete(e),this.revisions.set(e,1/0)}sorted(e){return[...this.byId.values()].filter(e).sort((s,i)=>s.startMs-i.startMs)}bound(){const e=this.finals;for(const s of e.slice(0,Math.max(0,e.length-vi)))this.byId.delete(s.id)}}function $i(t){const e=[...t.matchAll(/^a=candidate:\S+ \d+ \S+ \d+ (\S+) /gm)].map(([,s=""])=>s);return e.length>0&&e.every(s=>s==="::1"||s.startsWith("127."))}class J extends Error{constructor(e,s){super(s),this.code=e}}const yi=5e3,bi=8e3,ki=8e3,_i=2e4,Ut=[0,250,500,500,1e3,1e3,1e3,2e3,3e3,5e3];class ms{constructor(e,s,i,n){this.url=e,this.entry=s,this.events=n,this.socket=null,this.waiting=new Map,this.ids=0,this.tries=0,this.heardAt=0,this.refused=null,this.isClosed=!1,this.isJoined=!1,this.wasJoined=!1,this.lastSeq=i,this.pinging=setInterval(()=>this.check(),ki),this.open()}get joined(){return this.isJoined}ask(e,s,i=yi){const n=`r${++this.ids}`;return new Promise((r,a)=>{if(!this.transmit({type:e,id:n,data:s})){a(new J("unavailable","the socket is not open"));return}const c=setTimeout(()=>{this.waiting.delete(n),a(new J("timeout","no answer came"))},i);this.waiting.set(n,{done:h=>(clearTimeout(c),r(h)),failed:h=>(clearTimeout(c),a(h))})})}say(e,s){return this.isJoined&&this.transmit({type:e,data:s})}leave(){this.say("leave",{}),this.close()}close(){this.isClosed=!0,clearInterval(this.pinging),clearTimeout(this.timer),this.socket?.close(1e3),this.fail(new J("closed","the socket was closed"))}probe(){if(this.isClosed)return;if(this.socket?.readyState!==WebSocket.OPEN){clearTimeout(this.timer),this.open();return}const e=this.socket,s=this.heardAt;this.transmit({type:"ping",data:{}}),setTimeout(()=>{this.heardAt===s&&this.socket===e&&this.drop()},2500)}open(){this.socket?.close();const e=new WebSocket(this.url,"hansard.v1");this.socket=e,this.heardAt=performance.now();const s=setTimeout(()=>this.socket===e&&!this.isJoined&&this.drop(),bi);e.onopen=()=>{const i=this.lastSeq===null?{}:{lastSeq:this.lastSeq};this.transmit({type:"join_room",id:"join",data:{...this.entry,...i}})},e.onmessage=({data:i})=>{this.socket===e&&typeof i=="string"&&(this.heardAt=performance.now(),this.read(JSON.parse(i)))},e.onclose=({code:i,reason:n})=>{clearTimeout(s),this.socket===e&&this.closed(i,n)}}read(e){if(e.re==="join"){e.type==="joined"?this.enter(e.data):e.type==="error"&&(this.refused=new J(e.data.code,e.data.message),e.data.code==="unavailable"&&this.drop());return}typeof e.seq=="number"&&(this.lastSeq=Math.max(this.lastSeq??0,e.seq));const s=e.re===void 0?void 0:this.waiting.get(e.re);if(s!==void 0){if(this.waiting.delete(e.re),e.type==="error"){s.failed(new J(e.data.code,e.data.message));return}s.done(e)}this.events.message(e)}enter(e){const s=this.wasJoined;this.isJoined=this.wasJoined=!0,this.tries=0,this.refused=null,e.resumeToken!==null&&(this.entry={resumeToken:e.resumeToken}),this.lastSeq??=e.seq,this.events.joined(e,s)}closed(e,s){if(this.isJoined=!1,this.socket=null,this.fail(new J("unavailable","the connection was lost")),this.isClosed)return;const i=Si(e,this.refused?.code);if(i!==null){const r=this.refused?.message??s;this.close(),this.events.end(i,r);return}const n=Ut[Math.min(this.tries,Ut.length-1)];this.tries+=1,this.events.lost(this.tries,this.refused?.code??null),this.timer=setTimeout(()=>this.open(),n*(.75+Math.random()/2))}drop(){const e=this.socket;e!==null&&(e.onclose=e.onmessage=e.onopen=null,e.close(),this.closed(1006,""))}check(){this.socket?.readyState===WebSocket.OPEN&&(performance.now()-this.heardAt>_i?this.drop():this.transmit({type:"ping",data:{}}))}transmit(e){return this.socket?.readyState!==WebSocket.OPEN?!1:(this.socket.send(JSON.stringify(e)),!0)}fail(e){for(const s of this.waiting.values())s.failed(e);this.waiting.clear()}}function Si(t,e){switch(t){case 4e3:return"ended";case 4010:return"replaced";case 4003:switch(e){case"absent":case"unauthorized":case"consent_required":return e;default:return"removed"}default:return null}}const xi=2500,qt=1e3,Ai=300,Mi=15e3;class Ti{constructor(e,s,i){this.socket=e,this.iceServers=s,this.events=i,this.pc=null,this.own=new Map,this.senders=new Map,this.offering=!1,this.wanted=!1,this.kept=null,this.answered=null,this.answering=!1,this.held=!1,this.isClosed=!1,this.isUnavailable=!1,this.state="connecting",this.epoch=null}start(e){if(this.iceServers=e??this.iceServers,this.drop(),this.isClosed||this.isUnavailable)return;const s=new RTCPeerConnection({iceServers:this.iceServers});this.pc=s,s.onicecandidate=({candidate:i})=>{const{candidate:n,sdpMid:r,sdpMLineIndex:a,usernameFragment:c}=i??{};this.socket.say("ice_candidate",i===null?null:{candidate:n,sdpMid:r,sdpMLineIndex:a,usernameFragment:c})},s.onconnectionstatechange=()=>this.pc===s&&this.changed(s.connectionState),s.onnegotiationneeded=()=>this.pc===s&&this.want(),this.watch();for(const[i,n]of this.own)this.add(i,n);this.own.has("microphone")||s.addTransceiver("audio",{direction:"recvonly"})}async set(e,s){this.own.set(e,s);const i=this.senders.get(e);if(i===void 0){this.pc!==null&&this.add(e,s);return}await i.sender.replaceTrack(s)}remove(e){this.own.delete(e);const s=this.senders.get(e);this.senders.delete(e),s?.stop()}restart(){const e=this.pc;e===null||e.connectionState==="failed"||e.connectionState==="closed"?this.start():(e.restartIce(),this.want())}inEpoch(e){return this.epoch===null||e<=this.epoch?!1:(this.start(),this.epoch=e,!0)}asked(e){this.epoch===null&&this.start(),this.inEpoch(e)}resumed(e,s){this.iceServers=e,!this.inEpoch(s)&&(this.pc?.connectionState==="connected"?this.offer():this.restart())}offered(e){this.kept=e,this.answer()}candidate(e){this.pc?.addIceCandidate(e??void 0).catch(()=>{})}stats(){return this.pc?.getStats()??null}close(){this.isClosed=!0,this.drop()}add(e,s){const i=e==="microphone"?"audio":"video",n=this.pc?.addTransceiver(s??i,{direction:"sendonly"});n!==void 0&&this.senders.set(e,n)}want(){this.wanted=!0,this.offer()}async offer(){const e=this.pc,s=this.offering||this.answering||this.held||this.kept!==null;if(!(e===null||s||!this.wanted||!this.socket.joined||e.signalingState!=="stable")){this.offering=!0,this.wanted=!1;try{await e.setLocalDescription();const i=Pi(e.localDescription?.sdp??""),n=await this.socket.ask("offer",{sdp:i,tracks:this.tracks()});this.pc===e&&n.type==="answer"&&(this.epoch=n.data.epoch,await e.setRemoteDescription({type:"answer",sdp:n.data.sdp}),this.events.sending())}catch(i){this.pc===e&&await this.refused(e,i)}finally{this.offering=!1,this.goOn()}}}async answer(){const e=this.pc,s=this.kept;if(!(e===null||s===null||this.offering||this.answering)){if(this.kept=null,this.answered?.id===s.id){this.socket.say("answer",this.answered),this.goOn();return}this.answering=!0;try{await e.setRemoteDescription({type:"offer",sdp:s.sdp}),await e.setLocalDescription(),this.answered={id:s.id,sdp:e.localDescription?.sdp??""},this.socket.say("answer",this.answered),this.events.tracks(Oi(e,s.tracks))}catch(i){this.pc===e&&(console.warn("an offer could not be answered",i),this.later(()=>this.start()))}finally{this.answering=!1,this.goOn()}}}goOn(){this.kept!==null?this.answer():this.wanted&&this.offer()}async refused(e,s){const i=s instanceof J?s.code:"";switch(this.held=!0,e.signalingState==="have-local-offer"&&await e.setLocalDescription({type:"rollback"}).catch(()=>{}),i){case"webrtc_unavailable":this.isUnavailable=!0,this.drop(),this.events.unavailable();return;case"failed":this.later(()=>this.start());return;case"glare":this.again(Ai);return;case"ended":case"removed":case"consent_required":case"closed":return;default:this.again(qt)}}again(e){clearTimeout(this.retry),this.held=!0,this.retry=setTimeout(()=>{this.held=!1,this.want()},e)}changed(e){switch(clearTimeout(this.timer),e){case"connected":clearTimeout(this.connecting),this.tell("connected");break;case"disconnected":this.tell("connecting"),this.socket.probe(),this.later(()=>this.restart(),xi);break;case"failed":this.fail(),this.later(()=>this.start());break;default:this.state==="connected"&&this.tell("connecting")}}watch(){clearTimeout(this.connecting),this.connecting=setTimeout(()=>this.fail(),Mi)}fail(){const e=this.pc?.remoteDescription?.sdp??"";this.tell($i(e)?"unreachable":"failed")}tell(e){this.state!==e&&(this.state=e,this.events.state(e))}tracks(){return[...this.senders].filter(([,e])=>e.mid!==null&&e.currentDirection!=="stopped").map(([e,s])=>({mid:s.mid,source:e}))}later(e,s=qt){clearTimeout(this.timer),this.timer=setTimeout(()=>!this.isClosed&&e(),s)}drop(){clearTimeout(this.timer),clearTimeout(this.connecting),clearTimeout(this.retry),this.senders.clear(),this.wanted=this.held=!1,this.epoch=null,this.kept=this.answered=null;const e=this.pc;this.pc=null,e!==null&&(e.close(),this.events.tracks([]))}}function Pi(t){return t.replace(/^a=rtpmap:(\d+) opus\/48000\/2\r\n/gm,`$&a=rtcp-fb:$1 nack\r
`)}function Oi(t,e){return e.flatMap(({mid:s,participantId:i,source:n})=>{const r=t.getTransceivers().find(a=>a.mid===s);return r===void 0?[]:[{participantId:i,source:n,track:r.receiver.track}]})}const Ei={state:"off",since:null,transcribing:!1,transcribingSince:null,model:null,reason:null,waitingFor:[],unrecorded:[],epoch:0};class gs{constructor(e){this.options=e,this.people=new Map,this.remotes=new Map,this.captions=new ct,this.recording=Ei,this.connection="connecting",this.media="connecting",this.tries=0,this.isFull=!1,this.paused=new Set,this.unplugged=!1,this.withdrawing=!1,this.pictures=new Map,this.joinedSeq=0,this.networkChanged=()=>{this.socket.probe(),this.peer.restart()},this.seat=e.seat,this.microphone=e.microphone,this.muted=e.seat.muted??!1,this.consents=new We(e.meetingId),this.socket=new ms(e.seat.signalUrl,e.entry,0,{joined:(i,n)=>this.joined(i,n),message:i=>this.told(i),lost:(i,n)=>{this.connection="lost",this.tries=i,this.isFull=n==="unavailable",e.changed()},end:(i,n)=>this.ended(i,n)}),this.peer=new Ti(this.socket,[],{state:i=>{this.media=i,e.changed()},unavailable:()=>{this.media="unavailable",e.changed()},tracks:i=>this.arrived(i),sending:()=>this.muted&&this.sayMuted()}),window.addEventListener("online",this.networkChanged),this.keepGuest(),this.watchMicrophone(),this.enable();const s=Pe.read(e.meetingId);s!==null&&this.withdraw(s.purposes,s.key).catch(()=>{})}get ownId(){return this.seat.participantId}get self(){return this.people.get(this.ownId)}get isHost(){return this.self?.role==="host"}get present(){return[...this.people.values()].filter(e=>e.present&&e.removed===null).sort((e,s)=>+(s.id===this.ownId)-+(e.id===this.ownId)||Ci(e,s))}get token(){return this.seat.resumeToken}async mute(e){this.muted=e,this.keepSeat(),this.enable(),this.sayMuted(),this.options.changed()}async speakThrough(e){this.microphone?.stop(),this.microphone=e,this.unplugged=!1,this.watchMicrophone(),this.keepSeat(),this.enable(),await this.sendSound(),this.options.changed()}async show(e,s){this.pictures.get(e)?.stop(),s===null?(this.pictures.delete(e),this.peer.remove(e)):(this.pictures.set(e,s),s.onended=()=>void this.show(e,null),await this.peer.set(e,s)),this.options.changed()}async withdraw(e,s){this.withdrawing=!0,this.enable();const i=this.microphone===null?Promise.resolve():this.peer.set("microphone",null);this.options.changed();const n=this.options.rest.with(this.seat.consentToken),r={consentType:$t(e),status:"withdrawn"};try{const a=h=>this.socket.ask("consent",{...r,idempotencyKey:h}).then(m=>m.data.timestamp),c=await this.consents.withdraw(n,e,a,s);this.answered(this.ownId,e,"withdrawn",c)}catch(a){throw this.muted=!0,this.keepSeat(),this.sayMuted(),a}finally{this.withdrawing=!1,await i,await this.sendSound(),this.options.changed()}}async agree(e){const s=this.options.rest.with(this.seat.consentToken);await this.consents.agree(s,e,this.options.hostName)}leave(){this.socket.leave(),this.finish(),he.write(this.options.meetingId,null),this.options.end("left","")}finish(){window.removeEventListener("online",this.networkChanged),this.socket.close(),this.peer.close(),this.microphone?.stop();for(const e of this.pictures.values())e.stop();for(const e of this.remotes.values())e.level?.close();this.remotes.clear()}stats(){return this.peer.stats()}sayMuted(){this.socket.ask("mute",{source:"microphone",muted:this.muted}).catch(()=>{})}keepSeat(){const e=this.microphone?.getSettings().deviceId??null;this.seat={...this.seat,device:e,muted:this.muted},this.seat.resumeToken!==null&&he.write(this.options.meetingId,this.seat)}keepGuest(){const{displayName:e,consentToken:s}=this.seat;e!==""&&qe.write(this.options.meetingId,{displayName:e,consentToken:s})}watchMicrophone(){const e=this.microphone;e!==null&&(e.onended=()=>{this.microphone===e&&(this.microphone=null,this.unplugged=!0,this.peer.set("microphone",null),this.keepSeat(),this.options.changed())})}enable(){this.microphone!==null&&(this.microphone.enabled=!this.muted&&!this.withdrawing)}async sendSound(){this.enable(),!this.withdrawing&&this.microphone!==null&&await this.peer.set("microphone",this.microphone)}joined(e,s){const{resumeToken:i}=e,n=e.participantId??this.seat.participantId,r=e.consentToken??this.seat.consentToken;this.seat={...this.seat,participantId:n,resumeToken:i,consentToken:r},this.keepSeat(),this.keepGuest(),this.connection="open",this.tries=0,this.joinedSeq=e.seq,this.people.clear();for(const a of e.participants)this.people.set(a.id,a);this.captions.forgetPartials(),this.state(e.recording),s?this.peer.resumed(e.iceServers,e.recording.epoch):(this.sendSound(),this.peer.start(e.iceServers)),this.options.changed()}told({type:e,seq:s,data:i}){const n=s!==void 0&&s<=this.joinedSeq;switch(e){case"participant_joined":case"participant_left":case"participant_updated":n||this.person(i);break;case"consent_updated":if(!n){const{participantId:r,purposes:a,status:c,timestamp:h}=i;this.answered(r,a,c,h)}break;case"recording_state":n||(this.state(i),this.peer.inEpoch(this.recording.epoch));break;case"transcript_update":case"transcript_corrected":this.captions.update(i,Date.now());break;case"transcript_translated":this.captions.translate(i.segmentId,i.text);break;case"transcript_retracted":this.captions.retract(i.segmentId);break;case"offer":this.peer.offered(i);break;case"ice_candidate":this.peer.candidate(i);break;case"video_paused":this.paused=new Set(i.paused.map(({participantId:r,source:a})=>`${r} ${a}`));break;case"media":i.action==="offer"&&(this.paused=new Set,this.peer.asked(i.epoch));break;default:return}this.options.changed()}person(e){this.people.set(e.id,e)}answered(e,s,i,n){const r=this.people.get(e);if(r===void 0)return;const a={...r.consent},c={...r.consentSince};for(const h of s)a[h]!==i&&(a[h]=i,c[h]=n);this.people.set(e,{...r,consent:a,consentSince:c})}state(e){this.recording=e,this.captions.inEpoch(e.epoch)}arrived(e){const s=new Map(this.remotes);this.remotes.clear();for(const{participantId:i,source:n,track:r}of e){const a=this.remotes.get(i)??{audio:null,camera:null,screen:null,level:null};if(r.kind==="audio"){const c=s.get(i);a.level=c?.audio===r?c.level:new vt(r),a.audio=r}else a[n==="screen"?"screen":"camera"]=r,r.onmute=r.onunmute=()=>this.options.changed();this.remotes.set(i,a)}for(const[i,{level:n}]of s)n!==null&&this.remotes.get(i)?.level!==n&&n.close();this.options.changed()}ended(e,s){this.finish(),e!=="absent"&&he.write(this.options.meetingId,null),this.options.end(e,s)}}function Ci(t,e){return(t.joinedAt??"").localeCompare(e.joinedAt??"")}/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const Ni={CHILD:2},fs=t=>(...e)=>({_$litDirective$:t,values:e});let ws=class{constructor(e){}get _$AU(){return this._$AM._$AU}_$AT(e,s,i){this._$Ct=e,this._$AM=s,this._$Ci=i}_$AS(e,s){return this.update(e,s)}update(e,s){return this.render(...s)}};/**
 * @license
 * Copyright 2020 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const{I:Di}=Ls,Ht=t=>t,Ft=()=>document.createComment(""),ke=(t,e,s)=>{const i=t._$AA.parentNode,n=e===void 0?t._$AB:e._$AA;if(s===void 0){const r=i.insertBefore(Ft(),n),a=i.insertBefore(Ft(),n);s=new Di(r,a,t,t.options)}else{const r=s._$AB.nextSibling,a=s._$AM,c=a!==t;if(c){let h;s._$AQ?.(t),s._$AM=t,s._$AP!==void 0&&(h=t._$AU)!==a._$AU&&s._$AP(h)}if(r!==n||c){let h=s._$AA;for(;h!==r;){const m=Ht(h).nextSibling;Ht(i).insertBefore(h,n),h=m}}}return s},Y=(t,e,s=t)=>(t._$AI(e,s),t),ji={},Ii=(t,e=ji)=>t._$AH=e,Ri=t=>t._$AH,rt=t=>{t._$AR(),t._$AA.remove()};/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const Wt=(t,e,s)=>{const i=new Map;for(let n=e;n<=s;n++)i.set(t[n],n);return i},me=fs(class extends ws{constructor(t){if(super(t),t.type!==Ni.CHILD)throw Error("repeat() can only be used in text expressions")}dt(t,e,s){let i;s===void 0?s=e:e!==void 0&&(i=e);const n=[],r=[];let a=0;for(const c of t)n[a]=i?i(c,a):a,r[a]=s(c,a),a++;return{values:r,keys:n}}render(t,e,s){return this.dt(t,e,s).values}update(t,[e,s,i]){const n=Ri(t),{values:r,keys:a}=this.dt(e,s,i);if(!Array.isArray(n))return this.ut=a,r;const c=this.ut??=[],h=[];let m,w,g=0,$=n.length-1,v=0,k=r.length-1;for(;g<=$&&v<=k;)if(n[g]===null)g++;else if(n[$]===null)$--;else if(c[g]===a[v])h[v]=Y(n[g],r[v]),g++,v++;else if(c[$]===a[k])h[k]=Y(n[$],r[k]),$--,k--;else if(c[g]===a[k])h[k]=Y(n[g],r[k]),ke(t,h[k+1],n[g]),g++,k--;else if(c[$]===a[v])h[v]=Y(n[$],r[v]),ke(t,n[g],n[$]),$--,v++;else if(m===void 0&&(m=Wt(a,v,k),w=Wt(c,g,$)),m.has(c[g]))if(m.has(c[$])){const L=w.get(a[v]),st=L!==void 0?n[L]:null;if(st===null){const kt=ke(t,n[g]);Y(kt,r[v]),h[v]=kt}else h[v]=Y(st,r[v]),ke(t,n[g],st),n[L]=null;v++}else rt(n[$]),$--;else rt(n[g]),g++;for(;v<=k;){const L=ke(t,h[k+1]);Y(L,r[v]),h[v++]=L}for(;g<=$;){const L=n[g++];L!==null&&rt(L)}return this.ut=a,Ii(t,h),X}});class Bi extends ws{render(e,s){return d}update(e,[s,i]){return e.element.style.setProperty(s,String(i)),d}}const G=fs(Bi);var Li=Object.defineProperty,zi=Object.getOwnPropertyDescriptor,je=(t,e,s,i)=>{for(var n=i>1?void 0:i?zi(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Li(e,s,n),n};const at=[1,1.25,1.6,2];let te=class extends f{constructor(){super(...arguments),this.turn=0,this.bundled=!1,this.look=Bt.read(),this.follows=!0}render(){const{size:t,contrast:e,history:s}=this.look;this.style.setProperty("--said",`${t}rem`);const i=this.captions.finals;return l`
            <div>
                <div class="tools">
                    <h2>${o.captions.title}</h2>
                    <button @click=${()=>this.resize(-1)}>
                        A−<span class="unseen"> ${o.captions.smaller}</span>
                    </button>
                    <button @click=${()=>this.resize(1)}>
                        A+<span class="unseen"> ${o.captions.larger}</span>
                    </button>
                    <button aria-pressed=${e} @click=${()=>this.change({contrast:!e})}>
                        ${o.captions.contrast}
                    </button>
                    <button aria-pressed=${this.look.latency} @click=${()=>this.change({latency:!this.look.latency})}>
                        ${o.captions.latency}
                    </button>
                    <button aria-pressed=${s} @click=${()=>this.change({history:!s})}>
                        ${o.captions.history}
                    </button>
                </div>
                ${this.bundled?l`<p class="note warn small">${o.captions.bundled}</p>`:d}
            </div>
            <div class="frame ${e?"contrast":""}">
                <div
                    class="history ${s?"":"unseen"}"
                    role="log"
                    aria-label=${o.captions.history}
                    tabindex=${s?0:-1}
                    @scroll=${this.scrolled}
                >
                    ${i.length===0?l`<p class="quiet">${o.captions.empty}</p>`:d}
                    ${me(i,({id:n})=>n,n=>l`<p class="line">${this.said(n)}</p>`)}
                </div>
                <div class="now" aria-hidden="true">${this.now(i)}</div>
            </div>
        `}updated(){const t=this.renderRoot.querySelector(".history");t!==null&&this.follows&&(t.scrollTop=t.scrollHeight)}now(t){const e=this.captions.partials,s=e.length>0?e:t.slice(-1);return me([...s].reverse().slice(0,2),({id:i})=>i,i=>l`<p>${this.said(i)}</p>`)}said(t){const{text:e,stable:s,translation:i,delayMs:n}=t,r=this.look.latency&&n!==null?l` <small class="quiet">${o.captions.latencyOf((n/1e3).toFixed(1))}</small>`:d;return l`<span class="who" ${G("--hue",Je(t.participantId))}>${t.speaker}</span
            ><span>${e.slice(0,s)}</span><span class="tail">${e.slice(s)}</span>${r}${i===null?d:l`<span class="translation">${i}</span>`}`}resize(t){const e=at.indexOf(this.look.size),s=at[Math.min(at.length-1,Math.max(0,(e<0?0:e)+t))];this.change({size:s})}change(t){this.look={...this.look,...t},Bt.write(this.look)}scrolled(t){const{scrollTop:e,scrollHeight:s,clientHeight:i}=t.target;this.follows=s-e-i<24}};te.styles=[f.styles,y`
            :host {
                display: grid;
                grid-template-rows: auto minmax(4.5rem, 1fr) auto;
                min-height: 0;
                gap: 0.6rem;
                --said: 1rem;
            }
            .tools {
                display: flex;
                flex-wrap: wrap;
                gap: 0.4rem;
                align-items: center;
            }
            .tools h2 {
                margin-inline-end: auto;
            }
            .tools button {
                min-height: 2.1rem;
                padding: 0.15rem 0.6rem;
                font-size: 0.9rem;
            }
            .note {
                margin-top: 0.6rem;
                padding: 0.4rem 0.7rem;
            }
            .history {
                overflow-y: auto;
                font-size: var(--said);
                overflow-anchor: none;
            }
            .history:focus-visible {
                outline-offset: -3px;
            }
            .line {
                margin: 0 0 0.45em;
            }
            .who {
                font-weight: 650;
                color: hsl(var(--hue) 70% 30%);
                margin-inline-end: 0.35em;
            }
            .translation {
                display: block;
                color: var(--quiet);
                font-style: italic;
            }
            .now {
                border-radius: 0.6rem;
                background: var(--card);
                border: 1px solid var(--line);
                padding: 0.6rem 0.9rem;
                font-size: calc(var(--said) * 1.15);
                line-height: 1.4;
                display: flex;
                flex-direction: column-reverse;
                /* Two lines; what is longer shows its end. */
                height: calc(2.8em + 1.3rem);
                overflow: hidden;
            }
            .now p {
                flex: none;
            }
            .tail {
                opacity: 0.72;
            }
            .contrast .now,
            .contrast .history {
                background: #000;
                color: #fff;
                border-color: #000;
            }
            .contrast .history {
                padding: 0.6rem 0.9rem;
                border-radius: 0.6rem;
            }
            .contrast .tail {
                opacity: 1;
                color: #d6d6d6;
            }
            .contrast .who {
                color: hsl(var(--hue) 90% 78%);
            }
            .contrast .translation {
                color: #d6d6d6;
            }
            .frame {
                display: contents;
            }
            @media (max-width: 46rem) {
                .tools {
                    gap: 0.3rem;
                }
                .tools button {
                    padding-inline: 0.45rem;
                    font-size: 0.85rem;
                }
                .note {
                    font-size: 0.8rem;
                    padding: 0.2rem 0.5rem;
                }
            }
            @media (prefers-color-scheme: dark) {
                .who {
                    color: hsl(var(--hue) 80% 78%);
                }
            }
        `];je([u({attribute:!1})],te.prototype,"captions",2);je([u({attribute:!1})],te.prototype,"turn",2);je([u({type:Boolean})],te.prototype,"bundled",2);je([p()],te.prototype,"look",2);te=je([b("hansard-captions-view")],te);var Ui=Object.defineProperty,qi=Object.getOwnPropertyDescriptor,re=(t,e,s,i)=>{for(var n=i>1?void 0:i?qi(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Ui(e,s,n),n};let z=class extends f{constructor(){super(...arguments),this.consent={recording:null,transcription:null},this.since=()=>null,this.purposes=[],this.withdrawing=!1,this.granting=!1,this.fault=""}render(){const t=this.purposes.filter(e=>this.consent[e]==="accepted");return l`
            <h2>${o.consent.title}</h2>
            ${this.purposes.length===0?l`<p>${o.join.nothingKept}</p>`:d}
            ${this.purposes.map(e=>this.of(e))}
            ${t.length>1?l`<button
                      class="danger"
                      aria-disabled=${this.isBusy}
                      @click=${()=>{this.focusOn(".purpose button"),this.ask("withdraw",t)}}
                  >
                      ${o.consent.withdrawAll}
                  </button>`:d}
            <div role="status">
                ${this.withdrawing?l`<p class="note warn">${o.consent.working}</p>`:d}
                ${this.granting?l`<p class="note">${o.consent.granting}</p>`:d}
            </div>
            ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
        `}get isBusy(){return this.withdrawing||this.granting}ask(t,e){this.isBusy||this.tell(t,e)}of(t){const e=this.consent[t],s=this.since(t),i=e==="accepted",n=e===null?o.consent.none:o.consent[e];return l`
            <div class="purpose">
                <strong>${o.consent[t]}</strong>
                <span class="state small ${i?"yes":"quiet"}">
                    ${n}${s===null?d:l`, ${o.consent.since(ls(new Date(s)))}`}
                </span>
                <button
                    class=${i?"danger":""}
                    aria-disabled=${this.isBusy}
                    aria-label=${`${i?o.consent.withdraw:o.consent.agree}: ${o.consent[t]}`}
                    @click=${()=>this.ask(i?"withdraw":"agree",[t])}
                >
                    ${i?o.consent.withdraw:o.consent.agree}
                </button>
            </div>
        `}};z.styles=[f.styles,y`
            :host {
                display: grid;
                gap: 0.7rem;
            }
            .purpose {
                display: grid;
                grid-template-columns: 1fr auto;
                align-items: center;
                gap: 0.2rem 0.8rem;
            }
            .state {
                grid-column: 1;
            }
            .purpose button {
                grid-column: 2;
                grid-row: 1 / span 2;
                min-width: 7rem;
            }
            .yes {
                color: var(--good);
            }
        `];re([u({attribute:!1})],z.prototype,"consent",2);re([u({attribute:!1})],z.prototype,"since",2);re([u({attribute:!1})],z.prototype,"purposes",2);re([u({type:Boolean})],z.prototype,"withdrawing",2);re([u({type:Boolean})],z.prototype,"granting",2);re([u()],z.prototype,"fault",2);z=re([b("hansard-consent-panel")],z);const Hi=y`
    .room {
        display: flex;
        flex-direction: column;
        height: var(--hansard-height, 100dvh);
        background: var(--ground);
    }
    header {
        padding: 0.6rem 1rem;
        border-bottom: 1px solid var(--line);
        background: var(--card);
    }
    .state {
        display: flex;
        align-items: center;
        gap: 0.4rem;
        font-size: 0.95rem;
    }
    .state.on svg {
        color: #c5221f;
    }
    .notices {
        display: grid;
    }
    .note {
        border-radius: 0;
    }
    main {
        flex: 1;
        min-height: 0;
        display: grid;
        grid-template-columns: minmax(0, 1fr) minmax(20rem, 26rem);
    }
    main:has(aside[hidden]) {
        grid-template-columns: minmax(0, 1fr);
    }
    /* Has the focus after a click between its parts, so that its keys go on to work. */
    .room:focus {
        outline: none;
    }
    .people {
        overflow-y: auto;
        padding: 1rem;
    }
    .people:focus-visible {
        outline-offset: -3px;
    }
    .tiles {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr));
        gap: 0.8rem;
        margin-bottom: 0.8rem;
    }
    aside {
        min-height: 0;
        display: flex;
        flex-direction: column;
        gap: 0.8rem;
        padding: 1rem;
        border-inline-start: 1px solid var(--line);
        overflow-y: auto;
    }
    hansard-captions-view {
        flex: 1;
        min-height: 16rem;
    }
    footer {
        display: flex;
        flex-wrap: wrap;
        justify-content: center;
        gap: 0.6rem;
        padding: 0.7rem 1rem calc(0.7rem + env(safe-area-inset-bottom));
        border-top: 1px solid var(--line);
        background: var(--card);
    }
    footer .off {
        background: var(--warn-soft);
        border-color: var(--warn);
        color: var(--warn);
    }
    footer .kept svg {
        color: #c5221f;
    }
    @media (max-width: 46rem) {
        main {
            grid-template-columns: minmax(0, 1fr);
            grid-template-rows: minmax(0, 1fr) minmax(0, 1.2fr);
        }
        main:has(aside[hidden]) {
            grid-template-rows: minmax(0, 1fr);
        }
        aside {
            border-inline-start: 0;
            border-top: 1px solid var(--line);
            padding: 0.7rem 1rem;
        }
        hansard-captions-view {
            min-height: 11rem;
        }
        .tiles {
            grid-template-columns: repeat(auto-fill, minmax(min(100%, 9rem), 1fr));
        }
        footer {
            gap: 0.4rem;
        }
        footer button {
            padding-inline: 0.7rem;
            font-size: 0.9rem;
        }
        /* Two rows leave room for the people; the names stay, for those who hear them. */
        footer .short {
            min-width: 2.9rem;
            justify-content: center;
        }
        footer .short span {
            position: absolute;
            width: 1px;
            height: 1px;
            overflow: hidden;
            clip-path: inset(50%);
            white-space: nowrap;
        }
    }
`;class Fi{constructor(e){this.changed=e,this.elements=new Map,this.isBlocked=!1}play(e){for(const[s,i]of this.elements)e.has(s)||(i.srcObject=null,this.elements.delete(s));for(const[s,i]of e){const n=this.elements.get(s);if(n?.srcObject?.getAudioTracks()[0]!==i){const a=n??new Audio;a.srcObject=new MediaStream([i]),this.elements.set(s,a),this.start(a)}}}async resume(){this.isBlocked=!1,await Promise.all([...this.elements.values()].map(e=>this.start(e)))}close(){this.play(new Map)}async start(e){try{await e.play()}catch(s){s instanceof DOMException&&s.name==="NotAllowedError"&&(this.isBlocked=!0,this.changed())}}}function Wi(t,e,s){const i=a=>e.find(c=>c.id===a)?.displayName??"?",n=[];t.state==="recording"&&n.push("recording"),t.transcribing&&n.push("transcription");const r=[...Vi(t,i,s),...Gi(e,n)];return t.unrecorded.length>0&&r.push(o.room.stateUnrecorded(Ne(t.unrecorded.map(i)))),{text:r.join(" "),isRecording:n.length>0}}function Vi(t,e,s){const i=ht(t.since),n=ht(t.transcribingSince);if(t.state==="recording"&&t.transcribing&&i===n)return[o.room.stateBoth(i)];const r=[];switch(t.state){case"recording":r.push(o.room.stateRecording(i));break;case"paused":r.push(t.reason==="disk"?o.room.statePausedDisk(i):o.room.statePausedFor(Ne(t.waitingFor.map(e)),i));break;case"waiting":r.push(o.room.stateWaiting);break;default:r.push(o.room.stateOff);break}return t.transcribing?r.push(o.room.stateTranscribing(n)):t.state==="recording"&&s.includes("transcription")&&r.push(o.room.stateNotTranscribing),r}function Gi(t,e){const s=n=>t.filter(r=>e.every(a=>r.consent[a]!=="accepted"===n.includes(a))).map(r=>o.room.nameSince(r.displayName,ht(Ki(r,n))));return[[e,o.room.stateNot],...e.length>1?[[["recording"],o.room.stateNotRecorded],[["transcription"],o.room.stateNotTranscribed]]:[]].map(([n,r])=>({names:n.length>0?s(n):[],sentence:r})).filter(({names:n})=>n.length>0).map(({names:n,sentence:r})=>r(Ne(n)))}function Ki(t,e){return e.map(i=>t.consentSince[i]??t.joinedAt).reduce((i,n)=>(n??"")>(i??"")?n:i,null)}function ht(t){return t===null?"":o.room.stateSince(ls(new Date(t)))}var Yi=Object.defineProperty,Ji=Object.getOwnPropertyDescriptor,j=(t,e,s,i)=>{for(var n=i>1?void 0:i?Ji(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Yi(e,s,n),n};let E=class extends f{constructor(){super(...arguments),this.video=null,this.screen=!1,this.own=!1,this.speaks=!1,this.muted=!1,this.paused=!1,this.records=!1,this.transcribes=!1,this.removable=!1}render(){const{displayName:t,id:e}=this.person,s=this.screen?o.room.screenOf(t):this.own?o.room.you(t):t;return l`
            <div class="tile ${this.speaks?"speaks":""}">
                ${this.video===null||this.paused?l`<div class="round" aria-hidden="true" ${G("--hue",Je(e))}>
                          ${Xs(t)}
                      </div>`:l`<video
                          class=${this.screen?"whole":""}
                          autoplay
                          playsinline
                          .muted=${!0}
                          .srcObject=${Zi(this.video)}
                          aria-label=${s}
                      ></video>`}
                <div class="foot">
                    <span class="name">
                        ${this.muted?S.muted:d}
                        <span>${s}</span>
                        ${this.muted?l`<span class="unseen">, ${o.room.mutedState}</span>`:d}
                        ${this.speaks?l`<span class="unseen">, ${o.room.speaks}</span>`:d}
                    </span>
                    ${this.paused?l`<span class="mark">${o.room.paused}</span>`:d}
                    ${this.screen?d:this.kept()}
                </div>
                ${this.removable?l`<button
                          aria-label=${o.room.remove(t)}
                          title=${o.room.remove(t)}
                          @click=${()=>this.tell("remove",e)}
                      >
                          ✕
                      </button>`:d}
            </div>
        `}kept(){const{recording:t,transcription:e}=this.person.consent,{room:s}=o,[i,n]=[t==="accepted",e==="accepted"];return this.records&&this.transcribes&&i===n?this.mark(i,s.kept,s.notKept):[this.records?this.mark(i,s.recorded,s.notRecorded):d,this.transcribes?this.mark(n,s.transcribed,s.notTranscribed):d]}mark(t,e,s){return l`<span class="mark ${t?"kept":""}">${t?S.dot:d}${t?e:s}</span>`}};E.styles=[f.styles,y`
            :host {
                display: block;
                min-width: 0;
            }
            .tile {
                position: relative;
                aspect-ratio: 16 / 10;
                border-radius: var(--radius);
                background: var(--card);
                border: 1px solid var(--line);
                overflow: hidden;
                display: grid;
                place-items: center;
                /* Names and marks stand below the picture of who shows none. */
                padding-bottom: 2.4rem;
            }
            .tile.speaks {
                border-color: var(--accent);
                box-shadow: 0 0 0 2px var(--accent);
            }
            .round {
                width: 3.8rem;
                height: 3.8rem;
                border-radius: 50%;
                display: grid;
                place-items: center;
                font-size: 1.3rem;
                font-weight: 650;
                background: hsl(var(--hue) 55% 88%);
                color: hsl(var(--hue) 60% 25%);
            }
            video {
                position: absolute;
                inset: 0;
                width: 100%;
                height: 100%;
                object-fit: cover;
                background: #000;
            }
            video.whole {
                object-fit: contain;
            }
            .foot {
                position: absolute;
                inset: auto 0.5rem 0.5rem;
                display: flex;
                align-items: center;
                gap: 0.4rem;
                flex-wrap: wrap;
            }
            .name,
            .mark {
                display: inline-flex;
                align-items: center;
                gap: 0.3rem;
                border-radius: 0.45rem;
                padding: 0.1rem 0.5rem;
                background: rgb(20 24 29 / 0.82);
                color: #fff;
                font-size: 0.9rem;
                max-width: 100%;
            }
            .name span {
                overflow: hidden;
                text-overflow: ellipsis;
                white-space: nowrap;
            }
            .mark.kept {
                background: #7c1d17;
            }
            .mark svg,
            .name svg {
                width: 1rem;
                height: 1rem;
            }
            button {
                position: absolute;
                top: 0.5rem;
                inset-inline-end: 0.5rem;
                min-height: 2rem;
                padding: 0.1rem 0.6rem;
                font-size: 0.85rem;
            }
            @media (max-width: 46rem) {
                .tile {
                    aspect-ratio: 1;
                    place-items: start center;
                    padding-top: 0.9rem;
                }
                .round {
                    width: 3.2rem;
                    height: 3.2rem;
                    font-size: 1.1rem;
                }
                .name,
                .mark {
                    font-size: 0.8rem;
                }
            }
            @media (prefers-color-scheme: dark) {
                .round {
                    background: hsl(var(--hue) 35% 28%);
                    color: hsl(var(--hue) 70% 85%);
                }
            }
        `];j([u({attribute:!1})],E.prototype,"person",2);j([u({attribute:!1})],E.prototype,"video",2);j([u({type:Boolean})],E.prototype,"screen",2);j([u({type:Boolean})],E.prototype,"own",2);j([u({type:Boolean})],E.prototype,"speaks",2);j([u({type:Boolean})],E.prototype,"muted",2);j([u({type:Boolean})],E.prototype,"paused",2);j([u({type:Boolean})],E.prototype,"records",2);j([u({type:Boolean})],E.prototype,"transcribes",2);j([u({type:Boolean})],E.prototype,"removable",2);E=j([b("hansard-tile")],E);const Vt=new WeakMap;function Zi(t){const e=Vt.get(t)??new MediaStream([t]);return Vt.set(t,e),e}var Qi=Object.defineProperty,Xi=Object.getOwnPropertyDescriptor,A=(t,e,s,i)=>{for(var n=i>1?void 0:i?Xi(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Qi(e,s,n),n};const en=.25,tn=600,sn=100,nn=4;let _=class extends f{constructor(){super(...arguments),this.purposes=[],this.meetingId="",this.bySession=!1,this.turn=0,this.speaking=new Set,this.showsCaptions=!0,this.showsConsent=!1,this.granting=!1,this.fault="",this.consentFault="",this.said="",this.asks=null,this.link="",this.sound=new Fi(()=>this.requestUpdate()),this.heardAt=new Map,this.ownLevel=null,this.key=t=>{if(t.key==="Escape"&&this.asks!==null){this.unasked();return}const e=t.composedPath()[0],s=e instanceof HTMLElement&&/^(INPUT|TEXTAREA|SELECT)$/.test(e.tagName),i=!t.ctrlKey&&!t.metaKey&&!t.altKey&&!t.repeat;!s&&i&&t.key.toLowerCase()==="m"&&this.toggleMute()},this.toggleMute=async()=>{if(this.room.microphone!==null){await this.room.mute(!this.room.muted);return}try{await this.room.speakThrough(await wt()),this.fault=""}catch(t){this.fault=cs(t)}},this.endForAll=()=>{this.ask(o.room.endSure,()=>this.asHost.put(`/v1/meetings/${this.meetingId}/end`))},this.unasked=()=>{this.asks=null,this.focusBack("#leave")},this.confirmed=async()=>{const t=this.asks;this.asks=null,this.focusOn(".people");try{await t?.yes()}catch(e){this.fault=ze(e)}},this.copyLink=async()=>{try{const t=`/v1/meetings/${this.meetingId}/links`,e={role:"participant",expiresAt:null},{url:s}=await this.rest.with(null).post(t,e);try{await navigator.clipboard.writeText(s),this.said=o.room.copied,setTimeout(()=>this.said="",4e3)}catch{this.link=s}}catch(t){this.fault=ze(t)}}}connectedCallback(){super.connectedCallback(),this.timer=setInterval(()=>this.listen(),sn),this.addEventListener("keydown",this.key)}disconnectedCallback(){super.disconnectedCallback(),clearInterval(this.timer),this.removeEventListener("keydown",this.key),this.ownLevel?.level.close(),this.sound.close()}render(){const{room:t}=this,e=t.present,s=Wi(t.recording,e,this.purposes);return l`
            <div class="room" tabindex="-1">
                <header>
                    <p class="state ${s.isRecording?"on":""}" role="status" id="recording-state">
                        ${s.isRecording?S.dot:d}<span>${s.text}</span>
                    </p>
                </header>
                ${this.notices()}
                <main class=${this.showsCaptions?"":"alone"}>
                    <section class="people" tabindex="0" aria-label=${o.room.people}>
                        <h1 class="unseen">${o.room.people}</h1>
                        <div class="tiles">${this.tiles(e)}</div>
                        ${e.length<2?l`<p class="quiet">${o.room.alone}</p>`:d}
                    </section>
                    <aside ?hidden=${!this.showsCaptions&&!this.showsConsent}>
                        ${this.showsConsent?this.consent():d}
                        ${this.showsCaptions?l`<hansard-captions-view
                                  .captions=${t.captions}
                                  .turn=${this.turn}
                                  ?bundled=${t.recording.model?.bundled===!0}
                              ></hansard-captions-view>`:d}
                    </aside>
                </main>
                ${this.controls()}
            </div>
        `}firstUpdated(){this.focusOn("#mute")}updated(){const t=new Map;for(const[e,{audio:s}]of this.room.remotes)s!==null&&t.set(e,s);this.sound.play(t)}notices(){const{room:t}=this,e={failed:o.fault.ice,unreachable:o.fault.loopback,unavailable:o.fault.noWebrtc,connecting:o.room.connecting,connected:""}[t.media],s=t.connection==="lost"?`${o.room.reconnecting}${t.tries>=nn?` ${t.isFull?o.fault.full:o.fault.socket}`:""}`:t.connection==="connecting"?o.room.connecting:e;return l`
            <div class="notices" role="status">
                ${s===""?d:l`<p class="note warn">${s}</p>`}
                ${t.withdrawing?l`<p class="note warn">${o.consent.working}</p>`:d}
                ${t.unplugged?l`<p class="note warn">${o.device.gone}</p>`:d}
                ${this.said===""?d:l`<p class="note good">${this.said}</p>`}
                ${this.link===""?d:l`<p class="note">${o.room.linkIs} <a href=${this.link}>${this.link}</a></p>`}
            </div>
            ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
            ${this.sound.isBlocked?l`<p class="note warn row">
                      ${o.room.audioBlocked}
                      <button @click=${()=>this.sound.resume().then(()=>this.requestUpdate())}>
                          ${o.room.playAudio}
                      </button>
                  </p>`:d}
            ${this.asks===null?d:l`<div class="note row" role="alertdialog" aria-label=${this.asks.text}>
                      <strong>${this.asks.text}</strong>
                      <button class="danger sure" id="yes" @click=${this.confirmed}>${o.room.yes}</button>
                      <button @click=${this.unasked}>${o.cancel}</button>
                  </div>`}
        `}tiles(t){const{room:e}=this,s=t.flatMap(i=>{const n=i.id===e.ownId?e.pictures.get("screen")??null:e.remotes.get(i.id)?.screen??null,r=[{key:i.id,person:i,isScreen:!1,video:this.picture(i)}];return n===null||n.muted&&!e.paused.has(`${i.id} screen`)?r:[...r,{key:`${i.id} screen`,person:i,isScreen:!0,video:n}]});return me(s,({key:i})=>i,({person:i,isScreen:n,video:r})=>l`
                <hansard-tile
                    .person=${i}
                    .video=${r}
                    ?screen=${n}
                    ?own=${i.id===e.ownId}
                    ?speaks=${!n&&this.speaking.has(i.id)}
                    ?muted=${this.isMuted(i)}
                    ?paused=${e.paused.has(`${i.id} ${n?"screen":"camera"}`)}
                    ?records=${this.purposes.includes("recording")}
                    ?transcribes=${this.purposes.includes("transcription")}
                    ?removable=${e.isHost&&i.id!==e.ownId&&i.role!=="host"}
                    @remove=${()=>this.removePerson(i)}
                ></hansard-tile>
            `)}picture(t){if(t.id===this.room.ownId)return this.room.pictures.get("camera")??null;const e=this.room.remotes.get(t.id)?.camera??null;return e===null||e.muted||e.readyState==="ended"?null:e}isMuted(t){return t.id===this.room.ownId?this.room.muted||this.room.withdrawing||this.room.microphone===null:t.streams.some(e=>e.source==="microphone"&&e.muted===!0)}consent(){const{room:t}=this;return l`
            <div class="card">
                <hansard-consent-panel
                    .consent=${t.self?.consent??{recording:null,transcription:null}}
                    .since=${e=>t.self?.consentSince[e]??null}
                    .purposes=${this.purposes}
                    ?withdrawing=${t.withdrawing}
                    ?granting=${this.granting}
                    .fault=${this.consentFault}
                    @agree=${e=>this.agree(e.detail)}
                    @withdraw=${e=>this.withdraw(e.detail)}
                ></hansard-consent-panel>
            </div>
        `}controls(){const{room:t}=this,e=t.muted||t.microphone===null,s=this.purposes.filter(r=>t.self?.consent[r]==="accepted"),i=t.microphone===null?o.room.noMicrophone:t.muted?o.room.unmute:o.room.mute,n=this.showsCaptions?o.room.captionsHide:o.room.captionsShow;return l`
            <footer>
                <button
                    id="mute"
                    class="short ${e?"off":""}"
                    title=${i}
                    aria-keyshortcuts="m"
                    @click=${this.toggleMute}
                >
                    ${e?S.muted:S.microphone}
                    <span>${i}</span>
                </button>
                ${this.showing("camera",S.camera)} ${si()?this.showing("screen",S.screen):d}
                <button
                    id="captions"
                    class="short ${this.showsCaptions?"on":""}"
                    title=${n}
                    @click=${()=>this.showsCaptions=!this.showsCaptions}
                >
                    ${S.captions}
                    <span>${n}</span>
                </button>
                <button
                    id="consent"
                    class="short ${s.length>0?"kept":""}"
                    title=${o.consent.title}
                    aria-expanded=${this.showsConsent}
                    @click=${()=>this.showsConsent=!this.showsConsent}
                >
                    ${S.shield}<span>${o.consent.title}</span>
                </button>
                ${s.length>0||t.withdrawing?l`<button
                          id="withdraw"
                          class="danger"
                          ?disabled=${t.withdrawing}
                          @click=${()=>{this.focusOn("#consent"),this.withdraw(s)}}
                      >
                          <span>${o.consent.withdrawNow}</span>
                      </button>`:d}
                ${t.isHost?l`
                          ${this.bySession?l`<button
                                    id="copy"
                                    class="short"
                                    title=${o.room.copyLink}
                                    @click=${this.copyLink}
                                >
                                    ${S.invite}<span>${o.room.copyLink}</span>
                                </button>`:d}
                          <button id="end" class="danger" @click=${this.endForAll}>
                              <span>${o.room.end}</span>
                          </button>
                      `:d}
                <button
                    id="leave"
                    class="danger short"
                    title=${o.room.leave}
                    @click=${()=>this.room.leave()}
                >
                    ${S.leave}<span>${o.room.leave}</span>
                </button>
            </footer>
        `}showing(t,e){const s=this.room.pictures.has(t),i=o.room[s?`${t}Off`:t];return l`
            <button
                id=${t}
                class="short ${s?"on":""}"
                title=${i}
                @click=${()=>this.togglePicture(t)}
            >
                ${e}<span>${i}</span>
            </button>
        `}async togglePicture(t){try{const e=this.room.pictures.has(t),s=t==="camera"?us:ti;await this.room.show(t,e?null:await s()),this.fault=""}catch(e){const s=t==="screen"&&e instanceof DOMException&&e.name==="NotAllowedError",i=e instanceof Error?e.message:String(e);this.fault=s?"":t==="camera"?hs(e):o.room.screenFailed(i)}}async withdraw(t){this.consentFault="";try{await this.room.withdraw(t)}catch(e){this.consentFault=ze(e),this.showsConsent=!0}}async agree(t){this.consentFault="",this.granting=!0;try{await this.room.agree(t)}catch(e){this.consentFault=e instanceof O&&[0,503].includes(e.status)?o.fault.consentAway:ze(e)}finally{this.granting=!1}}get asHost(){return this.rest.with(this.room.token)}removePerson(t){const e=`/v1/meetings/${this.meetingId}/participants/${t.id}`;this.ask(o.room.removeSure(t.displayName),()=>this.asHost.delete(e))}ask(t,e){this.asks={text:t,yes:e},this.focusOnQuestion("#yes")}listen(){const t=performance.now(),{room:e}=this;if(e.microphone!==(this.ownLevel?.track??null)){this.ownLevel?.level.close();const n=e.microphone;this.ownLevel=n===null?null:{track:n,level:new vt(n)}}const s=[...e.remotes].map(([n,{level:r}])=>[n,r?.read()??0]);this.ownLevel!==null&&!e.withdrawing&&s.push([e.ownId,this.ownLevel.level.read()]);for(const[n,r]of s)r>en&&this.heardAt.set(n,t);for(const{participantId:n}of e.captions.partials)!e.remotes.has(n)&&n!==e.ownId&&this.heardAt.set(n,t);const i=new Set([...this.heardAt].filter(([,n])=>t-n<tn).map(([n])=>n));(i.size!==this.speaking.size||[...i].some(n=>!this.speaking.has(n)))&&(this.speaking=i)}};_.styles=[f.styles,Hi];A([u({attribute:!1})],_.prototype,"room",2);A([u({attribute:!1})],_.prototype,"rest",2);A([u({attribute:!1})],_.prototype,"purposes",2);A([u()],_.prototype,"meetingId",2);A([u({type:Boolean})],_.prototype,"bySession",2);A([u({attribute:!1})],_.prototype,"turn",2);A([p()],_.prototype,"speaking",2);A([p()],_.prototype,"showsCaptions",2);A([p()],_.prototype,"showsConsent",2);A([p()],_.prototype,"granting",2);A([p()],_.prototype,"fault",2);A([p()],_.prototype,"consentFault",2);A([p()],_.prototype,"said",2);A([p()],_.prototype,"asks",2);A([p()],_.prototype,"link",2);_=A([b("hansard-room-view")],_);function ze(t){return t instanceof O&&t.status===0?o.fault.unreachable:t instanceof Error?o.fault.other(t.message):o.fault.title}var rn=Object.defineProperty,an=Object.getOwnPropertyDescriptor,Ie=(t,e,s,i)=>{for(var n=i>1?void 0:i?an(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&rn(e,s,n),n};let se=class extends f{constructor(){super(...arguments),this.heading="",this.text="",this.action="",this.files=""}firstUpdated(){this.focusOn("h1")}render(){return l`
            <div class="page">
                <main class="narrow">
                    <div class="card" role="status">
                        <h1 tabindex="-1">${this.heading}</h1>
                        ${this.text===""?d:l`<p>${this.text}</p>`}
                    </div>
                    ${this.action===""?d:l`<div class="row">
                              <button class="primary" @click=${()=>this.tell("act")}>${this.action}</button>
                          </div>`}
                    ${this.files===""?d:l`<p><a class="button" href=${this.files}>${o.host.toFiles}</a></p>`}
                </main>
            </div>
        `}};se.styles=[f.styles,y`
            .card {
                display: grid;
                gap: 0.5rem;
            }
            h1:focus {
                outline: none;
            }
        `];Ie([u()],se.prototype,"heading",2);Ie([u()],se.prototype,"text",2);Ie([u()],se.prototype,"action",2);Ie([u()],se.prototype,"files",2);se=Ie([b("hansard-message")],se);function Gt(t,e){const{fault:s}=o,i=r=>({heading:s.title,text:r,action:o.retry}),n=(r,a)=>({heading:r,text:a,action:"",final:!0});if(!(t instanceof O))return i(t instanceof Error?t.message:String(t));switch(t.status){case 0:return i(s.unreachable);case 401:return e?n(s.linkGone,s.linkGoneText):n(s.linkMissing,s.linkMissingText);case 403:return e?n(s.linkGone,s.linkClosed):n(s.removed,s.removedText);case 404:return n(s.linkGone,s.linkGoneText);case 409:return n(s.over,s.overText);case 410:return n(s.over,s.deleted);case 429:return i(s.many);case 503:return i(s.full);default:return i(s.other(t.detail))}}var on=Object.defineProperty,ln=Object.getOwnPropertyDescriptor,W=(t,e,s,i)=>{for(var n=i>1?void 0:i?ln(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&on(e,s,n),n};let R=class extends f{constructor(){super(...arguments),this.root="",this.meeting="",this.stage={at:"loading"},this.busy=!1,this.fault="",this.wrongPassword="",this.turn=0,this.secret=null,this.guest=null,this.pending=!1,this.begin=async()=>{this.fault=this.wrongPassword="";let t;try{t=await this.rest.get(`/v1/meetings/${this.meeting}/invitation`)}catch(s){this.show(Gt(s,this.secret!==null));return}if(document.title=`${t.hostName===""?o.join.titlePlain:o.join.title(t.hostName)} · ${o.product}`,t.status==="ended"){he.write(this.meeting,null),this.show({heading:o.fault.over,text:o.fault.overText,action:"",files:this.secret===null});return}this.guest=this.secret===null?null:qe.read(this.meeting);const e=he.read(this.meeting);e?.resumeToken!=null?await this.comeBack(t,e,e.resumeToken):this.stage={at:"join",invitation:t}}}connectedCallback(){super.connectedCallback(),as(),this.secret=location.hash.startsWith("#hl_")?location.hash.slice(1):null,window.addEventListener("hashchange",()=>location.reload()),this.begin()}render(){const{stage:t}=this;switch(t.at){case"loading":return l`<hansard-message .heading=${o.loading}></hansard-message>`;case"message":return l`<hansard-message
                    .heading=${t.said.heading}
                    .text=${t.said.text}
                    .action=${t.said.action}
                    .files=${t.said.files===!0?`${this.root}/host/meetings/${this.meeting}`:""}
                    @act=${this.begin}
                ></hansard-message>`;case"join":return l`<hansard-join
                    .invitation=${t.invitation}
                    ?named=${this.secret===null}
                    .known=${this.guest?.displayName??""}
                    @forget=${()=>this.forget()}
                    ?busy=${this.busy}
                    .fault=${this.fault}
                    .wrongPassword=${this.wrongPassword}
                    @join=${e=>this.join(t.invitation,e.detail)}
                ></hansard-join>`;case"room":return l`<hansard-room-view
                    .room=${t.room}
                    .rest=${this.rest}
                    .purposes=${Oe(t.invitation)}
                    .meetingId=${this.meeting}
                    ?bySession=${this.secret===null}
                    .turn=${this.turn}
                ></hansard-room-view>`}}get rest(){return new ye(this.root,this.secret)}async comeBack(t,e,s){const i=e.device===null?null:await wt(e.device).catch(()=>null);this.enter(t,e,{resumeToken:s},i)}async join(t,e){this.busy=!0,this.fault=this.wrongPassword="";try{const s=await this.ask(e);await this.answer(t,s,e);const i=s.consentRequired.filter(a=>e.answers.get(a)!==!0);if(i.length>0){const a=Ne(i.map(c=>o.join[c]));this.fault=o.join.required(a);return}const n={participantId:s.participantId,displayName:e.displayName,signalUrl:s.signalUrl,resumeToken:null,consentToken:s.consentToken},r=this.enter(t,n,{token:s.token},e.microphone);e.camera!==null&&await r.show("camera",e.camera)}catch(s){this.refused(s)}finally{this.busy=!1}}async ask(t){const e=`/v1/meetings/${this.meeting}/join`;if(this.secret===null)return this.rest.post(e,{});const{displayName:s,password:i}=t;return this.guest!==null?this.rest.post(e,{consentToken:this.guest.consentToken}):this.rest.post(e,{displayName:s,...i===null?{}:{password:i}})}async answer(t,e,s){const i=this.rest.with(e.consentToken),n=Pe.read(this.meeting);n!==null&&await new We(this.meeting).withdraw(i,n.purposes,void 0,n.key).catch(()=>{});for(const r of["accepted","declined"]){const a=Oe(t).filter(c=>s.answers.get(c)===(r==="accepted"));a.length>0&&await ps(i,this.meeting,a,r,t.hostName)}}refused(t){if(this.guest!==null&&t instanceof O&&[401,422].includes(t.status)){this.forget();return}const e=Gt(t,this.secret!==null);t instanceof O&&t.kind==="wrong_password"?this.wrongPassword=o.join.passwordWrong:e.final?this.show(e):this.fault=e.text||e.heading}enter(t,e,s,i){const n=new gs({rest:this.rest,meetingId:this.meeting,hostName:t.hostName,seat:e,entry:s,microphone:i,changed:()=>this.redraw(),end:r=>this.ended(t,r)});return this.stage={at:"room",invitation:t,room:n},n}ended(t,e){const{fault:s}=o;switch(e){case"absent":case"unauthorized":he.write(this.meeting,null),this.guest=this.secret===null?null:qe.read(this.meeting),this.stage={at:"join",invitation:t};return;case"ended":this.show({heading:s.ended,text:s.endedText,action:"",files:this.secret===null});return;case"left":this.show({heading:s.left,text:s.leftText,action:s.again});return;case"replaced":this.show({heading:s.replaced,text:s.replacedText,action:s.here});return;case"removed":case"consent_required":this.show({heading:s.removed,text:s.removedText,action:""});return}}forget(){qe.write(this.meeting,null),Pe.write(this.meeting,null),this.guest=null}show(t){this.stage={at:"message",said:t}}redraw(){this.pending||(this.pending=!0,queueMicrotask(()=>{this.pending=!1,this.turn+=1}))}};W([u()],R.prototype,"root",2);W([u()],R.prototype,"meeting",2);W([p()],R.prototype,"stage",2);W([p()],R.prototype,"busy",2);W([p()],R.prototype,"fault",2);W([p()],R.prototype,"wrongPassword",2);W([p()],R.prototype,"turn",2);W([p()],R.prototype,"guest",2);R=W([b("hansard-meeting")],R);function Ve(t){if(!(t instanceof O))return t instanceof Error?t.message:String(t);switch(t.status){case 0:return o.fault.unreachable;case 401:return`${o.host.signedOut}. ${o.host.signedOutText}`;case 429:return o.fault.many;default:return o.fault.other(t.detail)}}function vs(t){return new Date(t.startTime??t.scheduledTime??t.createdAt)}var cn=Object.defineProperty,hn=Object.getOwnPropertyDescriptor,ae=(t,e,s,i)=>{for(var n=i>1?void 0:i?hn(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&cn(e,s,n),n};const dn=30,un=10,pn=300,mn=10,Kt=6;let U=class extends f{constructor(){super(...arguments),this.root="",this.meetings=null,this.people=new Map,this.cursor=null,this.name="",this.fault="",this.from="",this.to="",this.asked=0}connectedCallback(){super.connectedCallback(),this.read()}render(){const t=this.meetings?.filter(e=>this.fits(e));return l`
            <div class="page">
                <main class="wide">
                    <h1>${o.host.title}</h1>
                    <form class="card" role="search" @submit=${e=>e.preventDefault()}>
                        <label>
                            ${o.host.search}
                            <input
                                type="search"
                                placeholder=${o.host.searchHint}
                                @input=${e=>this.named(e.target.value)}
                            />
                        </label>
                        <label>
                            ${o.host.from}
                            <input type="date" @change=${e=>this.between({from:e})} />
                        </label>
                        <label>
                            ${o.host.to}
                            <input type="date" @change=${e=>this.between({to:e})} />
                        </label>
                    </form>
                    ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
                    ${t===void 0?l`<p role="status">${this.fault===""?o.loading:d}</p>`:this.list(t)}
                </main>
            </div>
        `}list(t){const e=this.meetings?.length===0&&this.from===""&&this.to==="";return l`
            <p role="status" class="quiet" ?hidden=${t.length>0}>
                ${e?o.host.none:o.host.noneFound}
            </p>
            <ul>
                ${me(t,({id:s})=>s,s=>this.row(s))}
            </ul>
            ${this.cursor===null?d:l`<div class="row">
                      <button id="more" @click=${()=>this.more()}>${o.host.more}</button>
                  </div>`}
        `}row(t){const{id:e,status:s,startTime:i,endTime:n}=t,r=(this.people.get(e)??[]).map(c=>c.displayName),a=i===null||n===null?"":` · ${I(Date.parse(n)-Date.parse(i))}`;return l`
            <li class="card">
                <div>
                    <h2><a href=${`${this.root}/host/meetings/${e}`}>${Ee(vs(t))}</a></h2>
                    <p class="small quiet">
                        ${r.length===0?d:`${o.host.participants} ${Ne(r.length>Kt?[...r.slice(0,Kt),"…"]:r)}`}${a}
                    </p>
                </div>
                <span class="badge ${s}">${o.host.status[s]}</span>
                ${s==="ended"?d:l`<a class="button" href=${`${this.root}/m/${e}`}>${o.host.enter}</a>`}
            </li>
        `}fits(t){const e=this.name.trim().toLocaleLowerCase(),s=this.people.get(t.id)??[];return e===""||s.some(i=>i.displayName.toLocaleLowerCase().includes(e))}named(t){this.name=t,clearTimeout(this.typing),this.typing=setTimeout(()=>void this.search(),pn)}async more(){await this.read(this.cursor)&&await this.search()}async search(){const t=this.name;for(let e=0;e<mn&&this.cursor!==null&&t.trim()!=="";e++)if((this.meetings?.filter(i=>this.fits(i)).length??0)>=un||!await this.read(this.cursor)||this.name!==t)return}between(t){const e=(s,i)=>s===void 0?i:s.target.value;this.from=e(t.from,this.from),this.to=e(t.to,this.to),this.read().then(()=>this.search())}async read(t=null){const e=++this.asked,s=new ye(this.root),i=new URLSearchParams({limit:String(dn)});if(t!==null&&i.set("cursor",t),this.from!==""&&i.set("from",new Date(`${this.from}T00:00`).toISOString()),this.to!==""){const n=new Date(`${this.to}T00:00`);n.setDate(n.getDate()+1),i.set("to",n.toISOString())}try{const n=await s.get(`/v1/meetings?${i}`);if(e!==this.asked)return!1;this.meetings=[...t===null?[]:this.meetings??[],...n.data],this.cursor=n.nextCursor,this.fault="";for(const{id:r}of n.data){const a=await s.all(`/v1/meetings/${r}/participants`);this.people=new Map(this.people).set(r,a.filter(c=>c.joinedAt!==null))}return e===this.asked}catch(n){return this.fault=Ve(n),!1}}};U.styles=[f.styles,y`
            form {
                display: grid;
                grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr));
                gap: 0.8rem;
            }
            form label {
                display: grid;
                gap: 0.2rem;
                font-size: 0.9rem;
                font-weight: 600;
            }
            form input {
                font-size: 1rem;
                font-weight: 400;
            }
            ul {
                list-style: none;
                margin: 0;
                padding: 0;
                display: grid;
                gap: 0.6rem;
            }
            li {
                display: flex;
                flex-wrap: wrap;
                align-items: center;
                gap: 0.4rem 1rem;
                padding: 0.9rem 1.1rem;
            }
            li > div {
                flex: 1 1 16rem;
                min-width: 0;
            }
            li h2 {
                font-size: 1.05rem;
            }
            .badge {
                border-radius: 1rem;
                padding: 0.05rem 0.7rem;
                font-size: 0.85rem;
                background: var(--accent-soft);
            }
            .badge.live {
                background: var(--good-soft);
                color: var(--good);
            }
        `];ae([u()],U.prototype,"root",2);ae([p()],U.prototype,"meetings",2);ae([p()],U.prototype,"people",2);ae([p()],U.prototype,"cursor",2);ae([p()],U.prototype,"name",2);ae([p()],U.prototype,"fault",2);U=ae([b("hansard-meeting-list")],U);const gn=600,fn=2e3,wn=60,vn=.1;async function Yt(t,e,s){for(let i=0;i<wn&&!s.aborted;i++){const{peaks:n,making:r}=await t.get(`/v1/recordings/${e}/peaks?points=${gn}`,s);if(n!==null||!r){const a=Math.max(...n??[],vn);return(n??[]).map(c=>c/a)}await new Promise(a=>setTimeout(a,fn))}return[]}function $n(t,e,s){const i=getComputedStyle(t),[n,r]=[i.getPropertyValue("--accent").trim(),i.getPropertyValue("--edge").trim()];$s(t,e,a=>a<=s?n:r)}function $s(t,e,s){const i=window.devicePixelRatio||1,[n,r]=[t.clientWidth,t.clientHeight];(t.width!==Math.round(n*i)||t.height!==Math.round(r*i))&&(t.width=Math.round(n*i),t.height=Math.round(r*i));const a=t.getContext("2d");if(a===null)return;a.setTransform(i,0,0,i,0,0),a.clearRect(0,0,n,r);const c=Math.max(1,Math.min(e.length,Math.floor(n/3))),h=n/c;for(let m=0;m<c;m++){const w=Math.floor(m*e.length/c),g=Math.max(w+1,Math.floor((m+1)*e.length/c)),$=Math.max(...e.slice(w,g)),v=Math.max(2,$*(r-2));a.fillStyle=s((m+.5)/c),a.fillRect(m*h+.5,(r-v)/2,Math.max(1,h-1),v)}}var yn=Object.defineProperty,bn=Object.getOwnPropertyDescriptor,Re=(t,e,s,i)=>{for(var n=i>1?void 0:i?bn(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&yn(e,s,n),n};let ie=class extends f{constructor(){super(...arguments),this.lanes=[],this.segments=[],this.startMs=0,this.durationMs=1}render(){return l`<div role="group" aria-label=${o.player.speakers}>
            ${this.lanes.map(t=>this.lane(t))}
        </div>`}updated(){for(const{id:t,bars:e}of this.lanes){const s=this.renderRoot.querySelector(`canvas[data-id="${t}"]`);if(s!==null){const{color:i}=getComputedStyle(s);$s(s,e,()=>i)}}}lane({id:t,name:e,tracks:s,canHear:i,isHeard:n,bars:r}){const[a]=s,c=this.segments.filter(h=>h.participant.id===t);return l`
            <div class="lane">
                <label>
                    <input
                        type="checkbox"
                        .checked=${n}
                        ?disabled=${!i}
                        @change=${()=>this.tell("hear",t)}
                    />
                    <span>${e}</span>
                </label>
                <div class="bar" ${G("--hue",Je(t))}>
                    ${a!==void 0&&r.length>0?this.loudness(t,a):c.map(({startMs:h,endMs:m})=>this.span("said",h,m,""))}
                    ${(a?.gaps??[]).map(({startMs:h,endMs:m,reason:w})=>this.span("gap",h,m,`${I(h)}–${I(m)} ${o.player.gap(o.player.gaps[w]??w)}`))}
                </div>
            </div>
        `}loudness(t,{startMs:e,durationMs:s}){return l`<canvas
            data-id=${t}
            role="img"
            aria-label=${o.player.speaks}
            ${G("--from",this.percent(e-this.startMs))}
            ${G("--width",this.percent(s??0))}
        ></canvas>`}span(t,e,s,i){return l`<div
            class=${t}
            title=${i}
            ${G("--from",this.percent(e-this.startMs))}
            ${G("--width",this.percent(s-e))}
        ></div>`}percent(t){return`${Math.min(100,Math.max(0,100*t/this.durationMs)).toFixed(3)}%`}};ie.styles=[f.styles,y`
            :host {
                display: block;
            }
            [role="group"] {
                display: grid;
                gap: 0.35rem;
            }
            .lane {
                display: grid;
                grid-template-columns: var(--names, 9rem) minmax(0, 1fr);
                gap: 0.6rem;
                align-items: center;
            }
            label {
                display: flex;
                align-items: center;
                gap: 0.5rem;
                min-width: 0;
                cursor: pointer;
            }
            label span {
                overflow: hidden;
                text-overflow: ellipsis;
                white-space: nowrap;
            }
            .bar {
                position: relative;
                height: 1.6rem;
                border-radius: 0.45rem;
                background: var(--ground);
                /* Not a border: spans are measured from where the waveform begins. */
                box-shadow: 0 0 0 1px var(--line);
                overflow: hidden;
            }
            .bar > * {
                position: absolute;
                top: 0;
                bottom: 0;
                left: var(--from);
                width: max(2px, var(--width));
            }
            .said {
                background: hsl(var(--hue) 60% 45%);
            }
            canvas {
                height: 100%;
                color: hsl(var(--hue) 60% 45%);
            }
            .gap {
                background: repeating-linear-gradient(45deg, var(--edge) 0 2px, transparent 2px 6px);
            }
            @media (max-width: 40rem) {
                .lane {
                    grid-template-columns: minmax(0, 1fr);
                    gap: 0.1rem;
                }
            }
        `];Re([u({attribute:!1})],ie.prototype,"lanes",2);Re([u({attribute:!1})],ie.prototype,"segments",2);Re([u({type:Number})],ie.prototype,"startMs",2);Re([u({type:Number})],ie.prototype,"durationMs",2);ie=Re([b("hansard-lanes")],ie);const kn=.12;async function ot(t,e){const s=`/v1/recordings/${e.id}/content?redirect=false`,{url:i}=await t.get(s);return i}const _n=3e4;function Jt(t,e){let s=performance.now();return async()=>{const i=performance.now();if(i-s<_n)return;s=i;const[n,r]=[t.currentTime,!t.paused];t.defaultPlaybackRate=t.playbackRate,t.src=await e(),t.currentTime=n,r&&await t.play().catch(()=>{})}}class Sn{constructor(e,s,i){this.rest=e,this.mix=s,this.element=i,this.tracks=new Map,this.loading=new Set,this.heard=null,this.follow=()=>{const n=this.nowMs;for(const[r,{recording:a,element:c}]of this.tracks){const h=(n-a.startMs)/1e3,m=h>=0&&h*1e3<(a.durationMs??1/0),w=this.heard?.has(r)===!0&&m&&!this.element.paused;c.playbackRate=this.element.playbackRate,w&&Math.abs(c.currentTime-h)>kn&&(c.currentTime=h),w&&c.paused?c.play().catch(()=>{}):!w&&!c.paused&&c.pause()}},i.addEventListener("play",this.follow),i.addEventListener("pause",this.follow),i.addEventListener("seeked",this.follow),i.addEventListener("timeupdate",this.follow),i.addEventListener("ratechange",this.follow),i.addEventListener("error",Jt(i,()=>ot(e,s)))}get nowMs(){return this.mix.startMs+this.element.currentTime*1e3}async load(){const e=await ot(this.rest,this.mix);return this.element.src=e,e}seek(e){const s=(e-this.mix.startMs)/1e3,i=Number.isFinite(this.element.duration)?this.element.duration:s;this.element.currentTime=Math.min(Math.max(0,s),i)}async hear(e){this.heard=e===null?null:new Set(e.map(({id:s})=>s));for(const s of e??[])if(!this.tracks.has(s.id)&&!this.loading.has(s.id)){this.loading.add(s.id);const i=()=>ot(this.rest,s),n=new Audio(await i().finally(()=>this.loading.delete(s.id)));n.preload="auto",n.addEventListener("error",Jt(n,i)),this.tracks.set(s.id,{recording:s,element:n})}this.element.muted=this.heard!==null,this.follow()}close(){for(const{element:e}of this.tracks.values())e.pause(),e.removeAttribute("src");this.tracks.clear(),this.element.pause()}}function ys(t){const e=[];let s=0;const i=n=>{n>s&&e.push({text:t.text.slice(s,n),startMs:null,endMs:null,at:s}),s=n};for(const{text:n,startMs:r,endMs:a}of t.words??[]){const c=n.trim(),h=c===""?-1:t.text.indexOf(c,s);h>=0&&(i(h),e.push({text:c,startMs:r,endMs:a,at:s}),s+=c.length)}return i(t.text.length),e}function xn(t,e){const s=e.trim().toLocaleLowerCase();return s===""?[]:t.flatMap(i=>{const n=i.text.toLocaleLowerCase(),r=[];for(let a=n.indexOf(s);a>=0;a=n.indexOf(s,a+s.length)){const c=a+s.length,h=ys(i).find(m=>m.startMs!==null&&m.at+m.text.length>a);r.push({segmentId:i.segmentId,from:a,to:c,startMs:h?.startMs??i.startMs})}return r})}function An(t,e){let[s,i]=[0,t.length];for(;s<i;){const n=s+i>>1;t[n]<=e?s=n+1:i=n}return s-1}var Mn=Object.defineProperty,Tn=Object.getOwnPropertyDescriptor,oe=(t,e,s,i)=>{for(var n=i>1?void 0:i?Tn(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Mn(e,s,n),n};let q=class extends f{constructor(){super(...arguments),this.segments=[],this.gaps=[],this.nameOf=()=>"",this.hits=[],this.hit=0,this.follows=!0,this.starts=[],this.words=[],this.spoken=null}render(){return l`
            <div class="row find">
                <input
                    type="search"
                    aria-label=${o.player.search}
                    placeholder=${o.player.search}
                    @input=${t=>this.find(t.target.value)}
                    @keydown=${t=>t.key==="Enter"&&this.go(t.shiftKey?-1:1)}
                />
                <span role="status" class="small quiet">
                    ${this.hits.length===0?d:o.player.hits(this.hits.length)}
                </span>
                <button aria-label=${o.player.previous} ?disabled=${this.hits.length===0} @click=${()=>this.go(-1)}>
                    ↑
                </button>
                <button aria-label=${o.player.next} ?disabled=${this.hits.length===0} @click=${()=>this.go(1)}>
                    ↓
                </button>
                <button aria-pressed=${this.follows} @click=${()=>this.follows=!this.follows}>
                    ${o.player.follow}
                </button>
            </div>
            <div class="text" tabindex="0" role="region" aria-label=${o.player.transcript} @click=${this.clicked}>
                ${this.segments.length===0?l`<p class="quiet">${o.player.transcriptNone}</p>`:d}
                ${me(this.lines(),(t,e)=>"segment"in t?t.segment.segmentId:`${t.at} ${t.gap.reason} ${e}`,t=>"segment"in t?this.segment(t.segment):this.gap(t.gap))}
            </div>
        `}updated(t){(t.has("segments")||t.has("gaps"))&&(this.words=[...this.renderRoot.querySelectorAll("[data-ms]")].sort((e,s)=>Number(e.dataset.ms)-Number(s.dataset.ms)),this.starts=this.words.map(e=>Number(e.dataset.ms)))}mark(t){const e=t===null?-1:An(this.starts,t),s=e<0?null:this.words[e],i=s!==null&&t!==null&&t<Number(s.dataset.end)+400?s:null;i!==this.spoken&&(this.spoken?.classList.remove("spoken"),i?.classList.add("spoken"),this.spoken=i,i!==null&&this.follows&&this.bring(i))}lines(){return[...this.segments.filter(({text:e})=>e!=="").map(e=>({at:e.startMs,segment:e})),...this.gaps.map(e=>({at:e.startMs,gap:e}))].sort((e,s)=>e.at-s.at)}segment(t){const{id:e,displayName:s}=t.participant;return l`
            <article>
                <button data-seek=${t.startMs}>${I(t.startMs)}</button>
                <p lang=${t.language??d}>
                    <span class="who" ${G("--hue",Je(e))}>${s??this.nameOf(e)}</span
                    >${ys(t).map(i=>this.piece(t,i))}${t.translation?l`<span class="translation" lang=${t.translation.language}
                              >${t.translation.text}</span
                          >`:d}
                </p>
            </article>
        `}piece({segmentId:t},{text:e,startMs:s,endMs:i,at:n}){const r=this.hits[this.hit],a=h=>h.segmentId===t&&h.from<n+e.length&&h.to>n,c=this.hits.some(a)?`hit${r!==void 0&&a(r)?" here":""}`:"";return s===null?e:l`<span data-ms=${s} data-end=${i??s}
                  ><span class=${c}>${e}</span></span
              >`}gap({startMs:t,endMs:e,reason:s,participantId:i}){const n=i===void 0?"":`${this.nameOf(i)}: `;return l`<p class="gap">
            ${I(t)}–${I(e)} ${n}${o.player.gap(o.player.gaps[s]??s)}
        </p>`}find(t){this.hits=xn(this.segments,t),this.hit=0,this.updateComplete.then(()=>this.show())}go(t){const e=this.hits.length;e>0&&(this.hit=(this.hit+t+e)%e,this.tell("seek",this.hits[this.hit]?.startMs),this.updateComplete.then(()=>this.show()))}show(){const t=this.renderRoot.querySelector(".here");t!==null&&this.bring(t)}bring(t){const e=this.renderRoot.querySelector(".text");if(e!==null){const s=t.getBoundingClientRect().top-e.getBoundingClientRect().top;(s<e.clientHeight*.15||s>e.clientHeight*.8)&&(e.scrollTop+=s-e.clientHeight/3)}}clicked(t){const e=t.target,s=e.closest("[data-ms]")?.dataset.ms??e.closest("[data-seek]")?.dataset.seek;s!==void 0&&this.tell("seek",Number(s))}};q.styles=[f.styles,y`
            :host {
                display: grid;
                gap: 0.7rem;
                min-height: 0;
            }
            .find input {
                flex: 1 1 12rem;
            }
            .text {
                max-height: 28rem;
                overflow-y: auto;
                padding: 0.2rem;
                position: relative;
            }
            article {
                display: grid;
                grid-template-columns: 4.2rem minmax(0, 1fr);
                gap: 0 0.6rem;
                padding: 0.3rem 0;
            }
            article button {
                min-height: 1.6rem;
                padding: 0 0.3rem;
                border: 0;
                background: none;
                color: var(--accent);
                font-variant-numeric: tabular-nums;
                font-size: 0.9rem;
                justify-content: flex-start;
                align-self: start;
            }
            .who {
                font-weight: 650;
                color: hsl(var(--hue) 70% 30%);
                display: block;
                font-size: 0.9rem;
            }
            [data-ms] {
                cursor: pointer;
                border-radius: 0.2rem;
                padding: 0.05em 0;
            }
            [data-ms]:hover {
                text-decoration: underline;
            }
            .hit {
                background: #ffe08a;
                color: #1b1f24;
            }
            .hit.here {
                outline: 2px solid var(--accent);
            }
            .spoken {
                background: var(--accent);
                color: var(--accent-text);
            }
            .gap {
                color: var(--quiet);
                font-size: 0.9rem;
                font-style: italic;
            }
            .translation {
                display: block;
                color: var(--quiet);
                font-style: italic;
            }
            @media (max-width: 40rem) {
                .find input {
                    flex-basis: 100%;
                }
                article {
                    grid-template-columns: 3.2rem minmax(0, 1fr);
                }
            }
            @media (prefers-color-scheme: dark) {
                .who {
                    color: hsl(var(--hue) 80% 78%);
                }
            }
        `];oe([u({attribute:!1})],q.prototype,"segments",2);oe([u({attribute:!1})],q.prototype,"gaps",2);oe([u({attribute:!1})],q.prototype,"nameOf",2);oe([p()],q.prototype,"hits",2);oe([p()],q.prototype,"hit",2);oe([p()],q.prototype,"follows",2);q=oe([b("hansard-transcript-view")],q);var Pn=Object.defineProperty,On=Object.getOwnPropertyDescriptor,T=(t,e,s,i)=>{for(var n=i>1?void 0:i?On(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Pn(e,s,n),n};const En=[.75,1,1.25,1.5,2],Zt=10;let x=class extends f{constructor(){super(...arguments),this.meetingId="",this.mix=null,this.tracks=[],this.people=[],this.links=!0,this.playing=!1,this.nowS=0,this.bars=[],this.ofTracks=new Map,this.off=new Set,this.captions="",this.fault="",this.playback=null,this.file="",this.frame=0,this.stopped=new AbortController,this.toggle=()=>{const{video:t}=this;t?.paused===!0?t.play().catch(()=>{}):t?.pause()}}get isArchived(){return this.mix?.storageTier==="archive"&&this.mix.restore.state!=="restored"}get durationMs(){return this.mix?.durationMs??1}disconnectedCallback(){super.disconnectedCallback(),cancelAnimationFrame(this.frame),this.stopped.abort(),this.playback?.close(),this.playback=null,URL.revokeObjectURL(this.captions)}render(){const t=`${this.rest.root}/v1/meetings/${this.meetingId}/transcript`;return l`
            <section class="card player">
                ${this.mix===null?l`<p class="quiet">${o.player.notReady}</p>`:this.isArchived?this.archived():this.sound()}
                <h2>${o.player.transcript}</h2>
                ${this.transcript.complete?d:l`<p class="small quiet" role="status">${o.player.transcriptIncomplete}</p>`}
                <hansard-transcript-view
                    .segments=${this.transcript.segments}
                    .gaps=${this.gaps()}
                    .nameOf=${e=>this.nameOf(e)}
                    @seek=${e=>this.jump(e.detail)}
                ></hansard-transcript-view>
                <p class="small quiet" ?hidden=${!this.links}>
                    ${o.player.texts}
                    ${["txt","vtt","srt","json"].map((e,s)=>l`${s>0?" · ":""}<a href=${`${t}.${e}`}>${e.toUpperCase()}</a>`)}
                </p>
            </section>
        `}updated(t){const e=this.mix===null?"":`${this.mix.id} ${this.mix.sha256} ${this.isArchived}`;t.has("mix")&&e!==this.file&&(this.file=e,this.load()),this.paint()}archived(){return l`
            <p class="note">${o.player.archived}</p>
            <div class="along">
                <span class="quiet">${I(this.durationMs)}</span>
                <div class="wave">${this.wave()}</div>
            </div>
            ${this.voices()}
        `}wave(){return l`<canvas role="img" aria-label=${o.player.wave}></canvas>`}voices(){return l`<hansard-lanes
            .lanes=${this.lanes()}
            .segments=${this.transcript.segments}
            .startMs=${this.mix?.startMs??0}
            .durationMs=${this.durationMs}
            @hear=${t=>this.hear(t.detail)}
        ></hansard-lanes>`}sound(){const t=I(this.nowS*1e3),e=I(this.durationMs);return l`
            <video
                preload="metadata"
                @play=${()=>this.started()}
                @pause=${()=>this.playing=!1}
                @seeked=${()=>this.tick()}
                @timeupdate=${()=>this.tick()}
            >
                ${this.captions===""?d:l`<track
                          kind="captions"
                          default
                          srclang=${this.transcript.language??"und"}
                          label=${o.captions.title}
                          src=${this.captions}
                      />`}
            </video>
            <div class="along">
                <button id="play" class="primary" @click=${this.toggle}>
                    ${this.playing?S.pause:S.play}${this.playing?o.player.pause:o.player.play}
                </button>
                <div class="wave">
                    ${this.wave()}
                    <input
                        type="range"
                        min="0"
                        max=${Math.ceil(this.durationMs/1e3)}
                        step="1"
                        .value=${String(Math.floor(this.nowS))}
                        aria-label=${o.player.seek}
                        aria-valuetext=${o.player.at(t,e)}
                        @input=${s=>this.seekS(Number(s.target.value))}
                    />
                </div>
            </div>
            <div class="row">
                <button aria-label=${o.player.back} @click=${()=>this.seekS(this.nowS-Zt)}>
                    ${S.back}10
                </button>
                <button aria-label=${o.player.forward} @click=${()=>this.seekS(this.nowS+Zt)}>
                    ${S.forward}10
                </button>
                <span class="time">${o.player.at(t,e)}</span>
                <label>
                    ${o.player.speed}
                    <select @change=${s=>this.rate(Number(s.target.value))}>
                        ${En.map(s=>l`<option value=${s} ?selected=${s===1}>${s}×</option>`)}
                    </select>
                </label>
            </div>
            ${this.voices()}
            ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
        `}get video(){return this.renderRoot.querySelector("video")}lanes(){return[...new Set([...this.tracks.map(({participantId:e})=>e??""),...this.transcript.segments.map(({participant:e})=>e.id)])].map(e=>{const s=this.tracks.filter(i=>i.participantId===e&&i.status==="ready");return{id:e,name:this.nameOf(e),tracks:s,canHear:!this.isArchived&&s.length>0,isHeard:!this.off.has(e),bars:this.ofTracks.get(s[0]?.id??"")??[]}})}nameOf(t){return this.people.find(e=>e.id===t)?.displayName??"?"}gaps(){return[...this.mix?.gaps??[],...this.transcript.gaps]}async load(){this.playback?.close(),this.playback=null;const{mix:t,video:e}=this;if(this.bars=[],t!==null&&(Yt(this.rest,t.id,this.stopped.signal).then(s=>this.bars=s).catch(()=>{}),this.measureTracks(),e!==null)){this.playback=new Sn(this.rest,t,e),e.addEventListener("error",()=>{this.fault=o.player.cannotPlay}),e.addEventListener("loadedmetadata",()=>{this.fault=""});try{const[s]=await Promise.all([this.rest.text(`/v1/meetings/${this.meetingId}/transcript.vtt`),this.playback.load()]);URL.revokeObjectURL(this.captions),this.captions=URL.createObjectURL(new Blob([s],{type:"text/vtt"}))}catch(s){this.fault=s instanceof Error?s.message:String(s)}}}async measureTracks(){const{file:t}=this;this.ofTracks=new Map;for(const{id:e,status:s}of this.tracks){if(s!=="ready")continue;const i=await Yt(this.rest,e,this.stopped.signal).catch(()=>[]);if(t!==this.file)return;this.ofTracks=new Map(this.ofTracks).set(e,i)}}rate(t){this.video!==null&&(this.video.playbackRate=t)}seekS(t){this.playback?.seek((this.mix?.startMs??0)+t*1e3),this.tick()}jump(t){this.playback?.seek(t),this.tick(),this.renderRoot.querySelector("hansard-transcript-view")?.mark(t)}hear(t){const e=new Set(this.off);e.delete(t)||e.add(t),this.off=e;const s=this.lanes().filter(i=>i.isHeard).flatMap(i=>i.tracks);this.playback?.hear(e.size===0?null:s).catch(i=>{this.fault=i instanceof Error?i.message:String(i)})}started(){this.playing=!0,cancelAnimationFrame(this.frame);const t=()=>{this.tick(),this.playing&&(this.frame=requestAnimationFrame(t))};this.frame=requestAnimationFrame(t)}tick(){const{playback:t,video:e}=this;t===null||e===null||(Math.floor(e.currentTime)!==Math.floor(this.nowS)&&(this.nowS=e.currentTime),this.paint(),this.renderRoot.querySelector("hansard-transcript-view")?.mark(t.nowMs))}paint(){const t=this.renderRoot.querySelector("canvas");if(t!==null){const e=(this.video?.currentTime??0)*1e3/this.durationMs;$n(t,this.bars.length>0?this.bars:new Array(300).fill(.04),e)}}};x.styles=[f.styles,y`
            .player {
                display: grid;
                gap: 0.9rem;
                --names: 9rem;
            }
            /* The waveform is above the bars of the speakers, of which each instant is below its own. */
            .along {
                display: grid;
                grid-template-columns: var(--names) minmax(0, 1fr);
                gap: 0.6rem;
                align-items: center;
            }
            video {
                width: 100%;
                height: 4.5rem;
                background: #101418;
                border-radius: 0.6rem;
            }
            /* Else as small as the picture is low. */
            video::cue {
                font: 1rem/1.4 system-ui, sans-serif;
            }
            .wave {
                position: relative;
                height: 5rem;
            }
            canvas {
                width: 100%;
                height: 100%;
                display: block;
            }
            .wave input {
                position: absolute;
                inset: 0;
                width: 100%;
                height: 100%;
                margin: 0;
                opacity: 0;
                cursor: pointer;
            }
            .wave:has(:focus-visible) {
                outline: 3px solid var(--accent);
                outline-offset: 2px;
                border-radius: 0.3rem;
            }
            .time {
                font-variant-numeric: tabular-nums;
                margin-inline-end: auto;
            }
            .player > .row > label {
                display: flex;
                align-items: center;
                gap: 0.4rem;
            }
            @media (max-width: 40rem) {
                .along {
                    grid-template-columns: minmax(0, 1fr);
                }
            }
        `];T([u({attribute:!1})],x.prototype,"rest",2);T([u()],x.prototype,"meetingId",2);T([u({attribute:!1})],x.prototype,"mix",2);T([u({attribute:!1})],x.prototype,"tracks",2);T([u({attribute:!1})],x.prototype,"people",2);T([u({attribute:!1})],x.prototype,"transcript",2);T([u({attribute:!1})],x.prototype,"links",2);T([p()],x.prototype,"playing",2);T([p()],x.prototype,"nowS",2);T([p()],x.prototype,"bars",2);T([p()],x.prototype,"ofTracks",2);T([p()],x.prototype,"off",2);T([p()],x.prototype,"captions",2);T([p()],x.prototype,"fault",2);x=T([b("hansard-player-view")],x);var Cn=Object.defineProperty,Nn=Object.getOwnPropertyDescriptor,le=(t,e,s,i)=>{for(var n=i>1?void 0:i?Nn(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Cn(e,s,n),n};const Dn=7;let H=class extends f{constructor(){super(...arguments),this.name="",this.sure=!1,this.said="",this.fault="",this.unsure=()=>{this.sure=!1,this.focusBack("#delete")},this.removeIt=async()=>{await this.act(async()=>{await this.rest.delete(`/v1/recordings/${this.recording.id}`),this.said=o.host.deleted}),await(this.fault===""?this.focusOn(".what"):this.focusBack("#delete"))},this.again=()=>this.act(()=>this.rest.post(`/v1/recordings/${this.recording.id}/retry`,{})),this.restore=()=>this.act(async()=>{const t=`/v1/recordings/${this.recording.id}/restore`,{readyBy:e}=await this.rest.post(t,{days:Dn});this.said=o.host.restoreBy(Ee(new Date(e)))})}get isArchived(){const{storageTier:t,restore:e}=this.recording;return t==="archive"&&e.state!=="restored"}render(){const{recording:t,name:e}=this,{status:s,durationMs:i,sizeBytes:n,storageTier:r,progress:a,waitingFor:c,expiresAt:h}=t,m=[o.host.states[s]??s,i===null?"":I(i),n===null?"":Qs(n),s==="ready"?o.host.tiers[r]:"",c===null?"":o.host.waitingFor[c],h===null?"":o.host.expires(Ee(new Date(h)))].filter(w=>w);return l`
            <div class="row">
                <div class="what" tabindex="-1">
                    <strong>${e}</strong>
                    <p class="small quiet">${m.join(" · ")}</p>
                    ${s==="processing"?l`<progress aria-label=${e} max="1" .value=${a??0}></progress>`:d}
                    ${t.error===null?d:l`<p class="small">${t.error}</p>`}
                    <div role="status">
                        ${t.restore.state==="running"?l`<p class="small">${o.host.restoring}</p>`:d}
                        ${this.said===""?d:l`<p class="small">${this.said}</p>`}
                    </div>
                    ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
                </div>
                ${this.actions()}
            </div>
        `}actions(){const{recording:t,name:e}=this;if(this.sure)return l`
                <span>${o.host.deleteSure(e)}</span>
                <button id="sure" class="danger sure" @click=${this.removeIt}>${o.host.deleteYes}</button>
                <button @click=${this.unsure}>${o.cancel}</button>
            `;const s=`${this.rest.root}/v1/recordings/${t.id}/content?download=true`;return l`
            ${t.status==="ready"&&!this.isArchived?l`<a class="button" href=${s} aria-label=${`${o.host.download}: ${e}`}>
                      ${S.download}${o.host.download}
                  </a>`:d}
            ${t.status==="ready"&&this.isArchived&&t.restore.state==="none"?l`<button @click=${this.restore}>${o.host.restore}</button>`:d}
            ${t.status==="failed"?l`<button @click=${this.again}>${o.host.tryAgain}</button>`:d}
            ${t.status==="ready"||t.status==="failed"?l`<button
                      id="delete"
                      class="danger"
                      aria-label=${`${o.host.delete}: ${e}`}
                      @click=${()=>{this.sure=!0,this.focusOnQuestion("#sure")}}
                  >
                      ${o.host.delete}
                  </button>`:d}
        `}async act(t){try{await t(),this.fault=""}catch(e){this.fault=Ve(e)}this.sure=!1,this.tell("changed")}};H.styles=[f.styles,y`
            .row {
                padding: 0.7rem 0;
                border-top: 1px solid var(--line);
            }
            .what {
                flex: 1 1 14rem;
                min-width: 0;
            }
            progress {
                width: 100%;
                accent-color: var(--accent);
            }
        `];le([u({attribute:!1})],H.prototype,"rest",2);le([u({attribute:!1})],H.prototype,"recording",2);le([u()],H.prototype,"name",2);le([p()],H.prototype,"sure",2);le([p()],H.prototype,"said",2);le([p()],H.prototype,"fault",2);H=le([b("hansard-recording-row")],H);var jn=Object.defineProperty,In=Object.getOwnPropertyDescriptor,B=(t,e,s,i)=>{for(var n=i>1?void 0:i?In(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&jn(e,s,n),n};const Qt=2e3,Rn=["recording","processing","deleting"];let C=class extends f{constructor(){super(...arguments),this.root="",this.meeting="",this.of=null,this.people=[],this.recordings=[],this.transcript=null,this.fault="",this.sure=!1,this.deleted=!1,this.removeIt=async()=>{try{await this.rest.delete(`/v1/meetings/${this.meeting}`),clearTimeout(this.timer),this.deleted=!0,this.focusOn("#deleted")}catch(t){this.fault=Ve(t)}this.sure=!1}}get rest(){return new ye(this.root)}connectedCallback(){super.connectedCallback(),this.read()}disconnectedCallback(){super.disconnectedCallback(),clearTimeout(this.timer)}render(){const{of:t}=this;return l`
            <div class="page">
                <main class="wide">
                    <header>
                        <p><a href=${`${this.root}/host`}>${o.host.back}</a></p>
                        <h1>${t===null?o.loading:o.host.meetingOf(Ee(vs(t)))}</h1>
                    </header>
                    ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
                    ${this.deleted?l`<p class="note good" id="deleted" role="status" tabindex="-1">${o.host.deleted}</p>`:d}
                    ${t===null||this.deleted?d:this.content(t)}
                </main>
            </div>
        `}content(t){const e=this.recordings.find(({kind:s,status:i})=>s==="mix"&&i==="ready");return l`
            ${t.status==="ended"?d:l`<div class="note row">
                      ${t.status==="live"?o.host.live:d}
                      <a class="button" href=${`${this.root}/m/${t.id}`}>${o.host.enter}</a>
                  </div>`}
            ${this.transcript===null?d:l`<hansard-player-view
                      .rest=${this.rest}
                      .meetingId=${t.id}
                      .mix=${e??null}
                      .tracks=${this.recordings.filter(({kind:s})=>s==="track")}
                      .people=${this.people}
                      .transcript=${this.transcript}
                  ></hansard-player-view>`}
            <section class="card">
                <h2>${o.host.recordings}</h2>
                ${this.recordings.length===0?l`<p class="quiet">${o.host.noRecordings}</p>`:me([...this.recordings].sort((s,i)=>+(i.kind==="mix")-+(s.kind==="mix")),({id:s})=>s,s=>l`
                              <hansard-recording-row
                                  .rest=${this.rest}
                                  .recording=${s}
                                  .name=${this.nameOf(s)}
                                  @changed=${()=>this.read()}
                              ></hansard-recording-row>
                          `)}
            </section>
            ${t.status==="live"?d:this.deleting()}
        `}deleting(){return this.sure?l`<div class="note warn row" role="alertdialog" aria-label=${o.host.deleteMeetingSure}>
                  <span>${o.host.deleteMeetingSure}</span>
                  <button id="sure" class="danger sure" @click=${this.removeIt}>${o.host.deleteYes}</button>
                  <button
                      @click=${()=>{this.sure=!1,this.focusBack("#delete")}}
                  >
                      ${o.cancel}
                  </button>
              </div>`:l`<div class="row end">
                  <button
                      id="delete"
                      class="danger"
                      @click=${()=>{this.sure=!0,this.focusOnQuestion("#sure")}}
                  >
                      ${o.host.deleteMeeting}
                  </button>
              </div>`}nameOf({kind:t,participantId:e}){const s=this.people.find(({id:i})=>i===e);return t==="mix"?o.host.mix:o.host.track(s?.displayName??"?")}async read(){clearTimeout(this.timer);const t=`/v1/meetings/${this.meeting}`;try{const[e,s,i,n]=await Promise.all([this.rest.get(t),this.rest.all(`${t}/participants`),this.rest.all(`${t}/recordings`),this.rest.get(`${t}/transcript`).catch(Bn)]);this.of=e,this.people=s,this.recordings=i,JSON.stringify(n)!==JSON.stringify(this.transcript)&&(this.transcript=n),this.fault="",(i.some(({status:a,restore:c})=>Rn.includes(a)||c.state==="running")||e.status!=="ended"||n?.complete===!1)&&(this.timer=setTimeout(()=>this.read(),Qt))}catch(e){this.fault=Ve(e),e instanceof O&&[0,503].includes(e.status)&&(this.timer=setTimeout(()=>this.read(),Qt))}}};C.styles=[f.styles,y`
            header {
                display: grid;
                gap: 0.3rem;
            }
            .end {
                justify-content: flex-end;
            }
        `];B([u()],C.prototype,"root",2);B([u()],C.prototype,"meeting",2);B([p()],C.prototype,"of",2);B([p()],C.prototype,"people",2);B([p()],C.prototype,"recordings",2);B([p()],C.prototype,"transcript",2);B([p()],C.prototype,"fault",2);B([p()],C.prototype,"sure",2);B([p()],C.prototype,"deleted",2);C=B([b("hansard-meeting-page")],C);function Bn(t){if(t instanceof O&&t.status===410)return null;throw t}var Ln=Object.defineProperty,zn=Object.getOwnPropertyDescriptor,yt=(t,e,s,i)=>{for(var n=i>1?void 0:i?zn(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Ln(e,s,n),n};let Ge=class extends f{constructor(){super(...arguments),this.root="",this.meeting=""}connectedCallback(){super.connectedCallback(),as()}render(){return this.meeting===""?l`<hansard-meeting-list .root=${this.root}></hansard-meeting-list>`:l`<hansard-meeting-page .root=${this.root} .meeting=${this.meeting}></hansard-meeting-page>`}};yt([u()],Ge.prototype,"root",2);yt([u()],Ge.prototype,"meeting",2);Ge=yt([b("hansard-host")],Ge);var Un=Object.defineProperty,Xe=(t,e,s,i)=>{for(var n=void 0,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=a(e,s,n)||n);return n&&Un(e,s,n),n};const qn="hk_";class N extends f{constructor(){super(...arguments),this.url="",this.meeting="",this.token="",this.fault="",this.begun=""}static{this.styles=[f.styles,y`
            :host {
                /* The page around it may be light in the dark. */
                background: var(--ground);
            }
        `]}get rest(){return new ye(this.url.replace(/\/+$/,""),this.token)}get signalUrl(){return`${this.rest.root.replace(/^http/,"ws")}/v1/signal`}connectedCallback(){super.connectedCallback(),this.lang=o.code}updated(){const e=[this.url,this.meeting,this.token].join(" ");if(e!==this.begun&&this.meeting!==""&&this.token!==""){if(this.end(),this.begun=e,this.token.startsWith(qn)){this.fails(new Error(o.fault.apiKey));return}this.begin().catch(s=>this.fails(s))}}disconnectedCallback(){super.disconnectedCallback(),this.begun="",this.end()}fails(e){const s=e instanceof O&&e.status===0;this.fault=s?o.fault.unreachable:e instanceof Error?e.message:String(e),this.tell("fault",this.fault)}faultLine(){return this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}}Xe([u()],N.prototype,"url");Xe([u()],N.prototype,"meeting");Xe([u()],N.prototype,"token");Xe([p()],N.prototype,"fault");var Hn=Object.defineProperty,Fn=Object.getOwnPropertyDescriptor,bt=(t,e,s,i)=>{for(var n=i>1?void 0:i?Fn(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Hn(e,s,n),n};let Ce=class extends N{constructor(){super(...arguments),this.turn=0,this.bundled=!1,this.captions=new ct,this.of="",this.socket=null}render(){return l`
            ${this.faultLine()}
            ${this.meeting===""?d:l`<hansard-captions-view
                      .captions=${this.captions}
                      .turn=${this.turn}
                      ?bundled=${this.bundled}
                  ></hansard-captions-view>`}
        `}async begin(){this.fault="",this.of!==this.meeting&&(this.of=this.meeting,this.captions=new ct),this.socket=new ms(this.signalUrl,{token:this.token},0,{joined:t=>{this.fault="",this.captions.forgetPartials(),this.recording(t.recording)},message:t=>this.told(t),lost:t=>{t>2&&this.fails(new Error(o.fault.unreachable))},end:(t,e)=>{this.socket=null,this.captions.forgetPartials(),this.turn+=1,t!=="ended"&&this.fails(new Error(e)),this.tell("ended",{end:t,detail:e})}})}end(){this.socket?.close(),this.socket=null}recording({epoch:t,model:e}){this.captions.inEpoch(t),this.bundled=e?.bundled??this.bundled}told({type:t,data:e}){switch(t){case"transcript_update":case"transcript_corrected":{const s=e;this.captions.update(s,Date.now()),s.final&&this.tell("caption",s);break}case"transcript_translated":this.captions.translate(e.segmentId,e.text);break;case"transcript_retracted":this.captions.retract(e.segmentId);break;case"recording_state":this.recording(e);break;default:return}this.turn+=1}};Ce.styles=[N.styles,y`
            :host {
                display: block;
                height: 20rem;
            }
            hansard-captions-view {
                height: 100%;
            }
        `];bt([p()],Ce.prototype,"turn",2);bt([p()],Ce.prototype,"bundled",2);Ce=bt([b("hansard-captions")],Ce);var Wn=Object.defineProperty,Vn=Object.getOwnPropertyDescriptor,Be=(t,e,s,i)=>{for(var n=i>1?void 0:i?Vn(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Wn(e,s,n),n};let ne=class extends N{constructor(){super(...arguments),this.purposes=["recording","transcription"],this.consent={recording:null,transcription:null},this.withdrawing=!1,this.granting=!1,this.since=new Map,this.host="",this.requests=new We("")}render(){return l`
            <div class="card">
                <hansard-consent-panel
                    .consent=${this.consent}
                    .since=${t=>this.since.get(t)??null}
                    .purposes=${this.purposes}
                    ?withdrawing=${this.withdrawing}
                    ?granting=${this.granting}
                    .fault=${this.fault}
                    @agree=${t=>this.say(t.detail,"accepted")}
                    @withdraw=${t=>this.say(t.detail,"withdrawn")}
                ></hansard-consent-panel>
            </div>
        `}async begin(){this.requests=new We(this.meeting);const t=`/v1/meetings/${this.meeting}`,e=await this.rest.get(`${t}/invitation`).catch(()=>null);e!==null&&(this.purposes=Oe(e),this.host=e.hostName);for(const s of await this.rest.all(`${t}/consents`))this.note(s.purposes,s.status,s.timestamp);this.fault=""}end(){this.consent={recording:null,transcription:null},this.since.clear()}note(t,e,s){const i={...this.consent};for(const n of t)i[n]=e,this.since.set(n,s);this.consent=i}async say(t,e){this.granting=e==="accepted",this.withdrawing=e==="withdrawn";try{const s=await(e==="accepted"?this.requests.agree(this.rest,t,this.host):this.requests.withdraw(this.rest,t));this.note(t,e,s),this.fault="",this.tell("consent",{purposes:t,status:e})}catch(s){this.fails(s)}finally{this.granting=this.withdrawing=!1}}};ne.styles=[N.styles,y`
            :host {
                display: block;
            }
        `];Be([p()],ne.prototype,"purposes",2);Be([p()],ne.prototype,"consent",2);Be([p()],ne.prototype,"withdrawing",2);Be([p()],ne.prototype,"granting",2);ne=Be([b("hansard-consent")],ne);var Gn=Object.defineProperty,Kn=Object.getOwnPropertyDescriptor,et=(t,e,s,i)=>{for(var n=i>1?void 0:i?Kn(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Gn(e,s,n),n};let ge=class extends N{constructor(){super(...arguments),this.people=[],this.recordings=[],this.transcript=null}render(){return l`
            ${this.faultLine()}
            ${this.transcript===null?d:l`<hansard-player-view
                      .rest=${this.rest}
                      .meetingId=${this.meeting}
                      .mix=${this.recordings.find(({kind:t,status:e})=>t==="mix"&&e==="ready")??null}
                      .tracks=${this.recordings.filter(({kind:t})=>t==="track")}
                      .people=${this.people}
                      .transcript=${this.transcript}
                      .links=${!1}
                  ></hansard-player-view>`}
        `}async begin(){const t=`/v1/meetings/${this.meeting}`,[e,s,i]=await Promise.all([this.rest.all(`${t}/participants`),this.rest.all(`${t}/recordings`),this.rest.get(`${t}/transcript`)]);this.people=e,this.recordings=s,this.transcript=i,this.fault=""}end(){this.transcript=null,this.recordings=[]}};ge.styles=[N.styles,y`
            :host {
                display: block;
            }
        `];et([p()],ge.prototype,"people",2);et([p()],ge.prototype,"recordings",2);et([p()],ge.prototype,"transcript",2);ge=et([b("hansard-player")],ge);var Yn=Object.defineProperty,Jn=Object.getOwnPropertyDescriptor,tt=(t,e,s,i)=>{for(var n=i>1?void 0:i?Jn(e,s):e,r=t.length-1,a;r>=0;r--)(a=t[r])&&(n=(i?a(e,s,n):a(n))||n);return i&&n&&Yn(e,s,n),n};let fe=class extends N{constructor(){super(...arguments),this.room=null,this.invitation=null,this.turn=0}render(){return l`
            ${this.faultLine()}
            ${this.room===null||this.invitation===null?d:l`<hansard-room-view
                      .room=${this.room}
                      .rest=${this.rest}
                      .purposes=${Oe(this.invitation)}
                      .meetingId=${this.meeting}
                      .turn=${this.turn}
                  ></hansard-room-view>`}
        `}async begin(){this.invitation=await this.rest.get(`/v1/meetings/${this.meeting}/invitation`),this.room=new gs({rest:this.rest,meetingId:this.meeting,hostName:this.invitation.hostName,seat:{participantId:"",displayName:"",signalUrl:this.signalUrl,resumeToken:null,consentToken:this.token},entry:{token:this.token},microphone:null,changed:()=>this.turn+=1,end:(t,e)=>{this.room=null,this.tell("ended",{end:t,detail:e})}}),this.fault=""}end(){this.room?.finish(),this.room=null}};fe.styles=[N.styles,y`
            :host {
                display: block;
                height: 40rem;
                --hansard-height: 100%;
            }
            hansard-room-view {
                display: block;
                height: 100%;
            }
        `];tt([p()],fe.prototype,"room",2);tt([p()],fe.prototype,"invitation",2);tt([p()],fe.prototype,"turn",2);fe=tt([b("hansard-room")],fe);
